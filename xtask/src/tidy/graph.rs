//! Which crate may use which: the design's graph, held against `cargo metadata`.

use std::collections::BTreeMap;

use anyhow::Context;
use serde_json::Value;

/// Ours that each of ours may name. Stages never name stages.
const GRAPH: &[(&str, &[&str])] = &[
    // ground
    ("lifecycle", &[]),
    ("panel", &["lifecycle"]),
    ("artifacts", &["lifecycle"]),
    ("tables", &["lifecycle", "panel"]),
    ("model", &["lifecycle", "panel"]),
    ("wire", &["lifecycle"]),
    ("service", &["lifecycle", "artifacts", "wire"]),
    ("collective", &[]),
    // stages
    ("ingest", &["lifecycle", "artifacts", "panel", "tables", "wire", "service"]),
    ("features", &["lifecycle", "artifacts", "panel", "tables", "wire", "service"]),
    ("trainer", TRAINER),
    ("predictor", &["lifecycle", "artifacts", "panel", "tables", "model", "wire", "service"]),
    ("explainer", &["lifecycle", "artifacts", "panel", "tables", "model", "wire", "service"]),
    ("evaluator", &["lifecycle", "artifacts", "panel", "tables", "wire", "service"]),
    ("planner", &["lifecycle", "artifacts", "panel", "tables", "wire", "service"]),
    // around
    ("simulator", &["lifecycle", "tables"]),
    ("report", &["lifecycle", "panel", "tables"]),
    ("lifecast", EVERYTHING),
    ("tests", EVERYTHING),
    ("xtask", &[]),
];

/// What training takes: all that stages do, with the network and the ranks beside it.
const TRAINER: &[&str] =
    &["lifecycle", "artifacts", "panel", "tables", "model", "collective", "wire", "service"];

/// What the program and the tests may name: all but each other.
const EVERYTHING: &[&str] = &[
    "lifecycle",
    "panel",
    "artifacts",
    "tables",
    "model",
    "wire",
    "service",
    "collective",
    "ingest",
    "features",
    "trainer",
    "predictor",
    "explainer",
    "evaluator",
    "planner",
    "simulator",
    "report",
];

/// Heavy or telling dependencies, and who alone may name them.
const RESERVED: &[(&str, &[&str])] = &[
    ("polars", &["tables", "ingest", "features", "simulator", "tests"]),
    ("burn", &["model", "trainer"]),
    ("object_store", &["artifacts"]),
    ("prost", &["wire"]),
    (
        "tonic",
        &[
            "wire",
            "service",
            "ingest",
            "features",
            "trainer",
            "predictor",
            "explainer",
            "evaluator",
            "planner",
            "lifecast",
            "tests",
        ],
    ),
    (
        "tokio",
        &[
            "artifacts",
            "service",
            "ingest",
            "features",
            "trainer",
            "predictor",
            "explainer",
            "evaluator",
            "planner",
            "lifecast",
            "tests",
        ],
    ),
];

/// Complaints about the packages' dependencies, those of tests and build scripts included.
pub(crate) fn check(metadata: &Value) -> anyhow::Result<Vec<String>> {
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let graph: BTreeMap<&str, &[&str]> = GRAPH.iter().copied().collect();
    let mut complaints = Vec::new();
    for package in packages {
        let name = package["name"].as_str().context("a package has no name")?;
        let Some(allowed) = graph.get(name) else {
            complaints.push(format!("crate `{name}` does not stand in xtask's GRAPH"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let dependency = dependency["name"].as_str().context("a dependency has no name")?;
            let is_ours = graph.contains_key(dependency);
            if is_ours && !allowed.contains(&dependency) {
                complaints
                    .push(format!("crate `{name}` may not use `{dependency}` (xtask's GRAPH)"));
            }
            let users = RESERVED.iter().find(|(reserved, _)| *reserved == dependency);
            if users.is_some_and(|(_, users)| !users.contains(&name)) {
                complaints.push(format!("crate `{name}` may not use `{dependency}` (RESERVED)"));
            }
        }
    }
    Ok(complaints)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn complaints(name: &str, dependencies: &[&str]) -> Vec<String> {
        let dependencies: Vec<_> = dependencies.iter().map(|d| json!({ "name": d })).collect();
        check(&json!({"packages": [{"name": name, "dependencies": dependencies}]})).unwrap()
    }

    #[test]
    fn the_graph_itself_has_no_circle_and_no_stranger() {
        let graph: BTreeMap<&str, &[&str]> = GRAPH.iter().copied().collect();
        let mut settled: Vec<&str> = Vec::new();
        while settled.len() < graph.len() {
            let next = graph.iter().find(|(name, uses)| {
                !settled.contains(name) && uses.iter().all(|used| settled.contains(used))
            });
            settled.push(next.expect("some crate uses only settled ones").0);
        }
    }

    #[test]
    fn stages_may_not_use_stages_nor_the_ground_what_lies_above() {
        assert!(complaints("ingest", &["lifecycle", "tables", "polars", "serde"]).is_empty());
        assert_eq!(complaints("ingest", &["features"]).len(), 1);
        assert_eq!(complaints("lifecycle", &["tables"]).len(), 1);
        assert_eq!(complaints("xtask", &["lifecycle"]).len(), 1);
        assert_eq!(complaints("helpers", &[]).len(), 1);
    }

    #[test]
    fn heavy_dependencies_stay_where_they_are_reserved() {
        assert_eq!(complaints("panel", &["polars", "tonic"]).len(), 2);
        assert_eq!(complaints("features", &["burn"]).len(), 1);
        assert!(complaints("trainer", &["burn"]).is_empty());
    }
}
