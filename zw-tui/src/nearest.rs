//! What was meant by a word that is not known.

/// Letters that are compared.
const LETTERS_MAX: usize = 32;

/// The known word that differs least, if one is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|known| (distance(word, known), known))
        // Half of a word is another word.
        .filter(|(distance, known)| *distance <= 2 && 2 * distance < word.chars().count().max(known.chars().count()))
        .min()
        .map(|(_, known)| known)
}

/// How many letters of a short word must be put in, left out, replaced, or swapped with their neighbours.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().take(LETTERS_MAX).collect();
    let other: Vec<char> = other.chars().take(LETTERS_MAX).collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=other.len()).collect()];
    for (line, a) in one.iter().enumerate() {
        let mut row = vec![line + 1];
        for (column, b) in other.iter().enumerate() {
            let replaced = rows[line][column] + usize::from(a != b);
            let mut least = replaced.min(rows[line][column + 1] + 1).min(row[column] + 1);
            if line > 0 && column > 0 && *a == other[column - 1] && one[line - 1] == *b {
                least = least.min(rows[line - 1][column - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_offered() {
        let known = ["kill", "pause", "theme"];
        assert_eq!(nearest("kil", known), Some("kill"));
        assert_eq!(nearest("them", known), Some("theme"));
        assert_eq!(nearest("pauze", known), Some("pause"));
        assert_eq!((nearest("klil", known), nearest("theem", known)), (Some("kill"), Some("theme")), "swapped");
        for far in ["n3", "ki", "kxx", "ppp", "th"] {
            assert_eq!(nearest(far, known), None, "{far}");
        }
        assert_eq!(nearest("", known), None);
    }
}
