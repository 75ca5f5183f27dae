//! What was meant by a word that is not known.

/// The known word that differs least, if one is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|known| (distance(word, known), known))
        // Of a short word nothing may be left over.
        .filter(|(distance, _)| *distance <= 2 && *distance < word.chars().count())
        .min()
        .map(|(_, known)| known)
}

/// Levenshtein's distance of two short words.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(32).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, a) in one.chars().take(32).enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, b) in other.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_offered() {
        let known = ["kill", "pause", "theme"];
        assert_eq!(nearest("kil", known), Some("kill"));
        assert_eq!(nearest("them", known), Some("theme"));
        assert_eq!(nearest("n3", known), None);
        assert_eq!(nearest("", known), None);
    }
}
