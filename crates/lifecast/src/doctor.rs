//! `lifecast doctor`: what this machine has, and whether a run would find what it needs.

use std::fmt::Write;
use std::path::PathBuf;
use std::thread;

use artifacts::{Key, Store};
use serde::Serialize;

use crate::failure::Failure;
use crate::flags::{PlaceFlags, UrlFlags};
use crate::pipeline::Pipeline;
use crate::remote::endpoint;
use crate::{CODE_VERSIONS, TARGET};

/// What is looked at.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DoctorFlags {
    /// A pipeline to check
    pipeline: Option<PathBuf>,
    /// A mapping to check: its keys, and whether its files are there
    #[arg(long, value_name = "FILE.toml")]
    data: Option<PathBuf>,
    #[command(flatten)]
    place: PlaceFlags,
    #[command(flatten)]
    urls: UrlFlags,
}

/// All findings.
#[derive(Debug, Serialize)]
pub(crate) struct Findings {
    version: &'static str,
    target: &'static str,
    n_cores: usize,
    /// What `--device` may name, and what each is.
    devices: Vec<(String, String)>,
    code_versions: Vec<(&'static str, &'static str)>,
    checks: Vec<Check>,
}

/// One thing that was tried.
#[derive(Debug, Serialize)]
struct Check {
    what: String,
    /// What is wrong; none: all is well.
    problem: Option<String>,
}

impl Check {
    fn new(what: impl Into<String>, result: Result<(), String>) -> Self {
        Self { what: what.into(), problem: result.err() }
    }
}

impl Findings {
    /// The findings for people.
    pub(crate) fn text(&self) -> String {
        let Self { version, target, n_cores, devices, code_versions: _, checks } = self;
        let mut text = format!("lifecast {version}\n{n_cores} cores\n{target}\n");
        for (name, hardware) in devices {
            let _ = writeln!(text, "--device {name}: {hardware}");
        }
        for Check { what, problem } in checks {
            let result = problem.as_deref().unwrap_or("ok");
            let _ = writeln!(text, "{what}: {result}");
        }
        text
    }

    /// A failure where anything is wrong.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        match self.checks.iter().filter(|check| check.problem.is_some()).count() {
            0 => Ok(()),
            n => Err(Failure::usage(anyhow::anyhow!("{n} of the checks above found a problem"))),
        }
    }
}

/// Looks at everything that the flags name.
pub(crate) async fn examine(flags: &DoctorFlags) -> Findings {
    let PlaceFlags { store, work, device } = &flags.place;
    let mut checks = vec![
        Check::new(format!("store {store}"), check_store(store).await),
        Check::new(format!("work folder {}", work.display()), check_folder(work)),
        Check::new(format!("device {device}"), check_device(*device)),
    ];
    let devices = model::devices();
    let devices = devices.into_iter().map(|(name, hardware)| (name.to_string(), hardware));
    if let Some(path) = &flags.pipeline {
        let read = Pipeline::read(path).map(drop).map_err(|error| format!("{error:#}"));
        checks.push(Check::new("pipeline", read));
    }
    if let Some(path) = &flags.data {
        let read = ingest::Mapping::load(path, &std::env::vars().collect());
        let read = read.map(drop).map_err(|error| service::error_chain(&error));
        checks.push(Check::new("mapping", read));
    }
    for stage in ["ingest", "features", "train", "predict", "evaluate", "explain", "plan"] {
        if let Some(url) = flags.urls.of_stage(stage) {
            let result = check_server(url, &flags.urls).await;
            checks.push(Check::new(format!("server of {stage} at {url}"), result));
        }
    }
    Findings {
        version: env!("CARGO_PKG_VERSION"),
        target: TARGET,
        n_cores: thread::available_parallelism().map_or(1, usize::from),
        devices: devices.collect(),
        code_versions: CODE_VERSIONS.to_vec(),
        checks,
    }
}

/// Whether the store can be opened and asked.
async fn check_store(uri: &str) -> Result<(), String> {
    let key = Key {
        stage: "doctor".into(),
        code_version: String::new(),
        config: serde_json::Value::Null,
        inputs: [].into(),
        execution: [].into(),
    };
    let said = |error: artifacts::Error| service::error_chain(&error);
    Store::open(uri).map_err(said)?.lookup(&key).await.map(drop).map_err(said)
}

/// Whether networks can compute there.
fn check_device(name: model::DeviceName) -> Result<(), String> {
    model::Device::open(name).map(drop).map_err(|error| error.to_string())
}

/// Whether files can be written into the folder.
fn check_folder(folder: &std::path::Path) -> Result<(), String> {
    let probe = folder.join(".doctor");
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&probe, "probe"))
        .and_then(|()| std::fs::remove_file(&probe))
        .map_err(|error| format!("cannot be written: {error}"))
}

/// Whether a server accepts connections.
async fn check_server(url: &str, flags: &UrlFlags) -> Result<(), String> {
    let endpoint = endpoint(url, &flags.tls).map_err(|error| format!("{error:#}"))?;
    endpoint.connect().await.map(drop).map_err(|error| service::error_chain(&error))
}
