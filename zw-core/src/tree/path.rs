//! Paths of znodes: what is one, and the map key that puts the children of a znode side by side.
//!
//! A path is `/`, or one or more `/name`. Names are not empty, not `.` and not `..`, and have none of the characters
//! that ZooKeeper forbids: control characters, the private use area, and all beyond the basic plane (which are two
//! forbidden halves in Java's eyes).
//!
//! The key of a path is the path with its last `/` replaced by a zero byte, which no path contains. Keys as plain bytes
//! are then in the order (parent, name), so the children of a znode are one contiguous range.

use super::command::TreeError;
use crate::limits::PATH_BYTES_MAX;

/// The path of the tree's first znode, which always exists.
pub const ROOT: &str = "/";

/// Checks that a znode may be made at `path`.
///
/// # Errors
/// [`TreeError::InvalidPath`], saying what is wrong with the path.
pub fn validate(path: &str) -> Result<(), TreeError> {
    validate_lookup(path)?;
    if path == ROOT {
        return Ok(());
    }
    for name in path[1..].split('/') {
        match name {
            "" if path.ends_with('/') => return Err(invalid(path, "must not end with a slash")),
            "" => return Err(invalid(path, "has an empty name")),
            "." | ".." => return Err(invalid(path, "is relative; names must not be . or ..")),
            _ => {}
        }
    }
    match path.chars().find(|character| is_forbidden(*character)) {
        Some(character) => Err(invalid(path, &format!("has the forbidden character {character:?}"))),
        None => Ok(()),
    }
}

/// Checks only what a look-up needs: as ZooKeeper's servers, whose reads answer "no such znode" for most malformed paths.
/// It is their clients that check the whole path, and so does ours.
///
/// # Errors
/// [`TreeError::InvalidPath`]: too long, not absolute, or with a zero byte.
pub fn validate_lookup(path: &str) -> Result<(), TreeError> {
    if path.len() > PATH_BYTES_MAX {
        return Err(TreeError::InvalidPath(format!(
            "{} bytes long, at most {PATH_BYTES_MAX}: {:?}...",
            path.len(),
            path.chars().take(64).collect::<String>()
        )));
    }
    if !path.starts_with('/') {
        return Err(invalid(path, "must start with a slash"));
    }
    if path.contains('\0') {
        return Err(invalid(path, "has a zero byte"));
    }
    Ok(())
}

/// The path of the parent of `path`; the root is its own parent.
#[must_use]
pub fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => ROOT,
        Some(slash) => &path[..slash],
    }
}

/// The last name of `path`.
#[must_use]
pub fn name(path: &str) -> &str {
    path.rfind('/').map_or(path, |slash| &path[slash + 1..])
}

fn invalid(path: &str, what: &str) -> TreeError {
    TreeError::InvalidPath(format!("{path:?} {what}"))
}

fn is_forbidden(character: char) -> bool {
    // As ZooKeeper's PathUtils: U+F8FF, U+FFF0 and U+FFFF themselves pass there, by comparisons that exclude the ends.
    matches!(character, '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{e000}'..='\u{f8fe}' | '\u{fff1}'..='\u{fffe}')
        || character > '\u{ffff}'
}

/// The key of a path that passed [`validate_lookup`].
pub(super) fn key(path: &str) -> Vec<u8> {
    let mut key = path.as_bytes().to_vec();
    if let Some(slash) = path.rfind('/') {
        key[slash] = 0;
    }
    key
}

/// The path of a key.
pub(super) fn of_key(key: &[u8]) -> String {
    let path: Vec<u8> = key.iter().map(|byte| if *byte == 0 { b'/' } else { *byte }).collect();
    String::from_utf8(path).expect("keys are made from text")
}

/// What the keys of all children of `path` begin with. The root's own key is exactly its children's prefix.
pub(super) fn children_prefix(path: &str) -> Vec<u8> {
    let mut prefix = if path == ROOT { Vec::new() } else { path.as_bytes().to_vec() };
    prefix.push(0);
    prefix
}

/// What the keys of all descendants of `path` below its children begin with.
pub(super) fn descendants_prefix(path: &str) -> Vec<u8> {
    let mut prefix = path.as_bytes().to_vec();
    if path != ROOT {
        prefix.push(b'/');
    }
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_paths_pass() {
        for path in ["/", "/a", "/a/b", "/a.b/..c/d..", "/ä/€", "/a b", "/\u{f8ff}", "/\u{d7ff}", "/\u{ffff}"] {
            assert_eq!(validate(path), Ok(()), "{path:?}");
        }
        let longest = format!("/{}", "x".repeat(PATH_BYTES_MAX - 1));
        assert_eq!(validate(&longest), Ok(()));
        assert!(validate(&format!("{longest}x")).is_err());
    }

    #[test]
    fn wrong_paths_say_what_is_wrong() {
        for (path, text) in [
            ("", "start with a slash"),
            ("a/b", "start with a slash"),
            ("//", "end with a slash"),
            ("/a/", "end with a slash"),
            ("/a//b", "empty name"),
            ("//b", "empty name"),
            ("/./a", "relative"),
            ("/a/..", "relative"),
            ("/a\0", "zero byte"),
            ("/a\x01", "forbidden"),
            ("/\u{80}", "forbidden"),
            ("/\u{e000}", "forbidden"),
            ("/\u{fffe}", "forbidden"),
            ("/\u{1f600}", "forbidden"),
        ] {
            let error = validate(path).unwrap_err().to_string();
            assert!(error.contains(text), "{path:?}: {error}");
        }
    }

    #[test]
    fn keys_keep_children_together() {
        let mut paths = ["/", "/a", "/b", "/a!", "/a!/x", "/a/x", "/a/y", "/a/x/1", "/a/x!", "/a-b/c"];
        paths.sort_by_key(|path| key(path));
        assert_eq!(paths, ["/", "/a", "/a!", "/b", "/a/x", "/a/x!", "/a/y", "/a!/x", "/a-b/c", "/a/x/1"]);
        for path in paths {
            assert_eq!(of_key(&key(path)), path);
            assert!(path == ROOT || key(path).starts_with(&children_prefix(parent(path))), "{path}");
        }
        assert_eq!((parent("/a/b"), parent("/a"), parent("/"), name("/a/b")), ("/a", "/", "/", "b"));
    }
}
