//! Paths: the rules, written once more and plainly, accept what the tree accepts.

use zw_core::limits::PATH_BYTES_MAX;
use zw_core::tree::path::{name, parent, validate, validate_lookup};

/// The bytes are a path if they are text.
pub fn check(bytes: &[u8]) {
    let Ok(path) = std::str::from_utf8(bytes) else { return };
    assert_eq!(validate(path).is_ok(), is_path(path), "{path:?}");
    if validate(path).is_err() {
        return;
    }
    assert!(validate_lookup(path).is_ok(), "{path:?} can be made but not looked up");
    assert!(validate(parent(path)).is_ok(), "the parent of {path:?} is no path");
    if path != "/" {
        let joined = format!("{}/{}", parent(path).trim_end_matches('/'), name(path));
        assert_eq!(joined, path);
    }
}

/// ZooKeeper's PathUtils, as its documentation has it.
fn is_path(path: &str) -> bool {
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(forbidden);
    let names = path.strip_prefix('/').map(|rest| rest.split('/').all(is_name));
    path.len() <= PATH_BYTES_MAX && (path == "/" || names == Some(true))
}

fn forbidden(character: char) -> bool {
    let code = u32::from(character);
    code < 0x20
        || (0x7f..0xa0).contains(&code)
        || (0xe000..0xf8ff).contains(&code)
        || (0xfff1..0xffff).contains(&code)
        || code > 0xffff
}
