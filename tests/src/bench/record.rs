//! The record of a full run, committed as `tests/bench/NAME.jsonl`: where, when and on what it was
//! measured, then what it printed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use lifecycle::{Day, Digest};
use serde::{Deserialize, Serialize};
use sysinfo::System;

use super::lines::Line;
use super::run::Outcome;
use super::sets::Subject;
use crate::workspace_root;

/// The first line of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The bench.
    pub record: String,
    /// The day, in UTC.
    pub date: Day,
    /// That day as people write it.
    pub day: String,
    /// Cores of the machine.
    pub cores: usize,
    /// Its processor.
    pub processor: String,
    /// Its memory.
    pub memory_gib: f64,
    /// Wall time of the run that wrote this; what earlier runs made is not in it.
    pub seconds: f64,
    /// What was not made, and why.
    pub missing: Vec<String>,
    /// Content digests of data, models' forecasts and scores.
    pub digests: BTreeMap<String, Digest>,
}

/// Writes the record of a run.
pub fn write(subject: Subject, outcome: &Outcome, lines: &[Line]) -> anyhow::Result<PathBuf> {
    let folder = workspace_root().join("tests/bench");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{}.jsonl", subject.name()));
    let mut text = serde_json::to_string(&header(subject, outcome)?)? + "\n";
    for line in lines {
        text += &(serde_json::to_string(line)? + "\n");
    }
    std::fs::write(&path, text).with_context(|| format!("{}", path.display()))?;
    Ok(path)
}

#[allow(clippy::disallowed_methods, reason = "a record says when it was made")]
fn header(subject: Subject, outcome: &Outcome) -> anyhow::Result<Header> {
    let mut system = System::new();
    system.refresh_memory();
    system.refresh_cpu_all();
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let date = Day(i32::try_from(since.as_secs() / 86_400)?);
    Ok(Header {
        record: subject.name().to_owned(),
        date,
        day: date.to_string(),
        cores: system.cpus().len(),
        processor: system.cpus().first().map_or("", |cpu| cpu.brand()).to_owned(),
        memory_gib: (system.total_memory() as f64 / f64::from(1 << 30) * 10.0).round() / 10.0,
        seconds: outcome.seconds,
        missing: outcome.missing.iter().map(|why| first_line(why)).collect(),
        digests: outcome.digests.clone(),
    })
}

/// Complaints of programs name paths of this machine in their later lines.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
