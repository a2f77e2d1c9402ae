//! Each Rust file: a name that says what is inside, a reason to be, a readable length, and no wire
//! types beyond the edge of a stage.

/// A file that is longer has two ideas in it.
const LINES_MAX: usize = 500;

/// Names that say nothing of what is inside, and folders' old way to be a module.
const NAMELESS: &[&str] = &[
    "mod.rs",
    "utils.rs",
    "util.rs",
    "common.rs",
    "types.rs",
    "base.rs",
    "core.rs",
    "helpers.rs",
    "helper.rs",
    "misc.rs",
    "manager.rs",
];

/// Crates whose inside may not know how stages speak to each other.
const STAGES: &[&str] =
    &["ingest", "features", "trainer", "predictor", "explainer", "evaluator", "planner"];

/// The modules of a stage at its edge.
const EDGES: &[&str] = &["server", "upstream"];

/// Crates of the wire.
const WIRE: &[&str] = &["wire", "tonic", "tonic_types", "tonic_health", "prost", "prost_types"];

/// Complaints about one file. What `cargo xtask codegen` wrote is not ours to shape.
pub(crate) fn check(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if path.starts_with("crates/wire/src/generated/") {
        return complaints;
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    if NAMELESS.contains(&name) {
        complaints.push(format!("{path}: `{name}` does not say what is inside"));
    }
    if !text.starts_with("//!") {
        complaints.push(format!("{path}:1: does not start with `//!`, what and why it is"));
    }
    let n_lines = text.lines().count();
    if n_lines > LINES_MAX {
        complaints.push(format!("{path}: has {n_lines} lines, at most {LINES_MAX} can be read"));
    }
    if is_inside_of_stage(path) {
        for (line, number) in text.lines().zip(1..) {
            if let Some(named) = WIRE.iter().find(|name| names(line, name)) {
                complaints.push(format!(
                    "{path}:{number}: names `{named}`, which only server.rs and upstream.rs may"
                ));
            }
        }
    }
    complaints
}

/// Whether the file belongs to a stage, but not to its edge.
fn is_inside_of_stage(path: &str) -> bool {
    let Some((stage, module)) =
        path.strip_prefix("crates/").and_then(|path| path.split_once("/src/"))
    else {
        return false;
    };
    let is_edge = module.split('/').any(|part| EDGES.contains(&part.trim_end_matches(".rs")));
    STAGES.contains(&stage) && !is_edge
}

/// Whether code of this line names the crate: in a path, or in a `use`.
fn names(line: &str, name: &str) -> bool {
    let code = line.split("//").next().unwrap_or(line);
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + name.len()..]);
        let is_used = before.trim_end().ends_with("use") && !after.starts_with(is_word);
        !before.ends_with(is_word) && !before.ends_with("::") && after.starts_with("::") || is_used
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_name_a_reason_and_an_end() {
        assert!(check("crates/panel/src/windowing.rs", "//! Cuts windows.\n").is_empty());
        assert_eq!(check("crates/panel/src/utils.rs", "//! Odds and ends.\n").len(), 1);
        assert_eq!(check("crates/panel/src/panel/mod.rs", "use std::fs;\n").len(), 2);
        let long = "//! Long.\n".repeat(LINES_MAX + 1);
        assert_eq!(check("tests/src/demo.rs", &long).len(), 1);
        assert!(check("crates/wire/src/generated/lifecast.v1.rs", &long[3..]).is_empty());
    }

    #[test]
    fn wire_types_stop_at_the_edge_of_a_stage() {
        let code = "//! Serves.\nuse tonic::Status;\nfn f(m: wire::v1::Forecast) {}\n";
        assert_eq!(check("crates/predictor/src/lib.rs", code).len(), 2);
        assert!(check("crates/predictor/src/server.rs", code).is_empty());
        assert!(check("crates/predictor/src/server/live.rs", code).is_empty());
        assert!(check("crates/planner/src/upstream.rs", code).is_empty());
        assert!(check("crates/service/src/lib.rs", code).is_empty());
        assert!(check("crates/predictor/tests/served.rs", code).is_empty());
    }

    #[test]
    fn other_words_with_the_same_letters_are_none() {
        for line in ["// over the wire::path", "let tonic = 1;", "hardwire::x()", "a::wire::x()"] {
            assert!(!names(line, "wire") && !names(line, "tonic"), "{line}");
        }
        for line in ["use wire;", "use wire as w;", "    let m: wire::v1::Run = x;", "(wire::f())"]
        {
            assert!(names(line, "wire"), "{line}");
        }
    }
}
