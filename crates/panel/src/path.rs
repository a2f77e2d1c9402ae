//! Category paths as keys of fitted maps.

use std::collections::BTreeMap;

/// Joins the levels of a path; no name holds this character.
const SEPARATOR: char = '\u{1f}';

/// The key of a path; empty for the whole data set. A parent's key sorts before its children's.
pub(crate) fn path_key(path: &[String]) -> String {
    path.join("\u{1f}")
}

/// The key of the parent; `None` for the whole data set.
pub(crate) fn parent_key(key: &str) -> Option<&str> {
    if key.is_empty() {
        return None;
    }
    Some(key.rsplit_once(SEPARATOR).map_or("", |(parent, _)| parent))
}

/// The entry of a path or of its nearest known ancestor.
pub(crate) fn nearest(by_path: &BTreeMap<String, f64>, path: &[String]) -> Option<f64> {
    (0..=path.len()).rev().find_map(|depth| by_path.get(&path_key(&path[..depth]))).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_category_takes_its_nearest_ancestor() {
        let path = |text: &str| -> Vec<String> { text.split('/').map(str::to_owned).collect() };
        let known = BTreeMap::from([
            (path_key(&[]), 1.0),
            (path_key(&path("home")), 2.0),
            (path_key(&path("home/mugs")), 3.0),
        ]);
        assert_eq!(nearest(&known, &path("home/mugs")), Some(3.0));
        assert_eq!(nearest(&known, &path("home/plates/blue")), Some(2.0));
        assert_eq!(nearest(&known, &path("toys")), Some(1.0));
        assert_eq!(nearest(&BTreeMap::new(), &path("toys")), None);
        assert_eq!(parent_key(&path_key(&path("home/mugs"))), Some("home"));
        assert_eq!(parent_key("home"), Some(""));
        assert_eq!(parent_key(""), None);
    }
}
