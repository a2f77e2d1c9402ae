//! The repository as a whole: its top level, paths of one machine, comments of interfaces and
//! dependencies.

use std::collections::BTreeSet;

/// All that may lie at the top. `target` is not in git.
const TOP_LEVEL: &[&str] = &[
    ".cargo",
    ".ci",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "clippy.toml",
    "crates",
    "deny.toml",
    "deploy",
    "proto",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "tests",
    "xtask",
];

/// Complaints about what lies at the top and should not, or does not and should.
pub(crate) fn check_top_level(files: &[String]) -> Vec<String> {
    let found: BTreeSet<&str> =
        files.iter().map(|file| file.split('/').next().unwrap_or(file)).collect();
    let allowed: BTreeSet<&str> = TOP_LEVEL.iter().copied().collect();
    let more = found.difference(&allowed).map(|name| format!("{name}: not at the top level"));
    let less = allowed.difference(&found).map(|name| format!("{name}: missing at the top level"));
    more.chain(less).collect()
}

/// Complaints about paths that exist on their author's machine only.
pub(crate) fn check_paths(file: &str, text: &str) -> Vec<String> {
    // Spelt in two parts, or this file would complain of itself.
    let homes =
        [["/ho", "me/"], ["/ro", "ot/"], ["/Us", "ers/"], ["/wo", "rk/"], ["C:\\Us", "ers"]];
    let homes = homes.map(|parts| parts.concat());
    let is_path = |line: &str, home: &str| {
        line.match_indices(home).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            before.is_none_or(|c| !c.is_alphanumeric() && !"._-}".contains(c))
        })
    };
    let lines = text.lines().zip(1..);
    lines
        .filter(|(line, _)| homes.iter().any(|home| is_path(line, home)))
        .map(|(_, number)| format!("{file}:{number}: names a path of one machine"))
        .collect()
}

/// Complaints about services, calls, messages and enums that no comment explains. (What a request
/// and its response are, their call says.)
pub(crate) fn check_proto(file: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut before = "";
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        let kind = words.next().unwrap_or_default();
        let name = words.next().unwrap_or_default();
        let is_part_of_call =
            kind == "message" && (name.ends_with("Request") || name.ends_with("Response"));
        let is_interface = matches!(kind, "service" | "rpc" | "message" | "enum");
        if is_interface && !is_part_of_call && !before.starts_with("//") {
            complaints.push(format!("{file}:{number}: no comment says what {kind} `{name}` is"));
        }
        before = line;
    }
    complaints
}

/// Complaints about dependencies of the workspace that neither a comment of their own nor one above
/// their paragraph explains.
pub(crate) fn check_dependency_comments(manifest: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut is_inside = false;
    let mut is_explained = false;
    for (line, number) in manifest.lines().zip(1..) {
        if line.starts_with('[') {
            is_inside = line == "[workspace.dependencies]";
        } else if line.trim().is_empty() {
            is_explained = false;
        } else if line.starts_with('#') {
            is_explained = true;
        } else if is_inside && !is_explained && !line.contains(" # ") {
            complaints.push(format!("Cargo.toml:{number}: no comment says what this is for"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_top_level_is_exactly_as_designed() {
        assert!(check_top_level(&owned(TOP_LEVEL)).is_empty());
        let mut files = owned(TOP_LEVEL);
        files.push("notes/todo.md".into());
        assert_eq!(check_top_level(&files), ["notes: not at the top level"]);
        files.retain(|file| !file.starts_with("notes") && file != "LICENSE");
        assert_eq!(check_top_level(&files), ["LICENSE: missing at the top level"]);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        let home = ["/ho", "me/ada/lifecast"].concat();
        assert_eq!(check_paths("x.rs", &format!("a\n\"{home}\"\n")).len(), 1);
        assert!(check_paths("x.rs", &format!("https://example.org{home}")).is_empty());
        assert!(check_paths("x.rs", "${HOME}/lifecast, ./home, target/demo").is_empty());
    }

    #[test]
    fn interfaces_are_explained() {
        let explained = "// Forecasts.\nservice Predictor {\n  // Answers.\n  rpc Predict(PredictRequest) \
                         returns (PredictResponse);\n}\n\nmessage PredictRequest {\n}\n";
        assert_eq!(check_proto("p.proto", explained), Vec::<String>::new());
        let bare = "service Predictor {\n  rpc Predict(A) returns (B);\n}\nmessage Forecast {\n}\n";
        assert_eq!(check_proto("p.proto", bare).len(), 3);
    }

    #[test]
    fn dependencies_are_explained() {
        let manifest = "[workspace.dependencies]\n# Tables.\npolars = 1\nburn = 1\n\nserde = 1 # \
                        text\ntoml = 1\n\n[profile.dev]\nopt-level = 1\n";
        assert_eq!(
            check_dependency_comments(manifest),
            ["Cargo.toml:7: no comment says what this is for"]
        );
    }
}
