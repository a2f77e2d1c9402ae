//! Each stage as a command of its own, on the store of a run that made everything.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::{answer, binary, workspace_root};

/// What each command reads, by the name that it has there and the name of who made it.
const COMMANDS: [(&str, &[(&str, &str)]); 6] = [
    ("features", &[("dataset", "ingest")]),
    ("train", &[("features", "features")]),
    ("predict", &[("features", "features"), ("model", "train/lifecast")]),
    (
        "evaluate",
        &[
            ("features", "features"),
            ("truth", "simulate"),
            ("forecasts/lifecast", "predict/lifecast"),
            ("forecasts/dense", "predict/dense"),
        ],
    ),
    (
        "explain",
        &[("features", "features"), ("model", "train/lifecast"), ("forecasts", "predict/lifecast")],
    ),
    ("plan", &[("forecasts", "predict/lifecast")]),
];

/// Runs every command with the settings that the run had: each must find the run's own artifact.
///
/// The commands stand in the store's folder and name it by a relative path, as people do.
pub fn check(home: &Path, wanted: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let pipeline = workspace_root().join("tests/pipelines/e2e.toml");
    let pipeline: toml::Table = toml::from_str(&std::fs::read_to_string(pipeline)?)?;
    let mapping = workspace_root().join("tests/datasets/simulator-1.toml");
    let simulated = run(home, &pipeline, "simulate", &[])?;
    ensure!(simulated == wanted["simulate"], "simulate made {simulated}");
    let raw = format!("raw={simulated}");
    let mapping = mapping.display().to_string();
    let dataset = run(home, &pipeline, "ingest", &["--mapping", &mapping, &raw])?;
    ensure!(dataset == wanted["ingest"], "ingest made {dataset}");
    for (command, reads) in COMMANDS {
        let inputs: Vec<String> = reads
            .iter()
            .map(|(name, maker)| Ok(format!("{name}={}", wanted.get(*maker).context(*maker)?)))
            .collect::<anyhow::Result<_>>()?;
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let made = run(home, &pipeline, command, &inputs)?;
        let found = wanted.get(command).or_else(|| wanted.get(&format!("{command}/lifecast")));
        ensure!(Some(&made) == found, "{command} made {made}, the run {found:?}");
    }
    Ok(())
}

/// Runs one command with its section of the pipeline, and answers its artifact.
fn run(
    home: &Path,
    pipeline: &toml::Table,
    command: &str,
    arguments: &[&str],
) -> anyhow::Result<String> {
    let mut settings = match command {
        "train" => pipeline["model"][0].clone(),
        _ => pipeline.get(command).cloned().unwrap_or(toml::Table::new().into()),
    };
    let settings = settings.as_table_mut().context("a section is a table")?;
    settings.remove("mapping");
    let name = settings.remove("name");
    if command == "predict" {
        settings.insert("name".into(), name.unwrap_or("lifecast".into()));
    }
    let config = home.join(format!("{command}.toml"));
    std::fs::write(&config, toml::to_string(settings)?)?;
    let mut process = Command::new(binary("lifecast")?);
    process.current_dir(home).arg(command).args(arguments).arg("--config").arg(config);
    process.args(["--store", "store", "--work", "work", "--json", "--quiet"]);
    let outcome = answer(&process.output()?)?;
    outcome["artifact"].as_str().map(str::to_owned).context("no artifact")
}
