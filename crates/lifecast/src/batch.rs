//! One stage as a command: artifacts in by their digests, an artifact out.

use std::path::{Path, PathBuf};

use anyhow::Context;
use lifecycle::Digest;
use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::flags::{PlaceFlags, UrlFlags};
use crate::stages::{Job, StageOutcome, Stages};
use crate::{runner, stages, toml_file};

/// What one stage is asked for.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct BatchFlags {
    /// Artifacts to read, each as NAME=DIGEST: what a stage before answered as `artifact`
    #[arg(value_parser = named_digest, value_name = "NAME=DIGEST")]
    pub(crate) inputs: Vec<(String, Digest)>,
    /// The stage's settings, TOML: what stands in its section of a pipeline, without `name` or `mapping`
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Copy the artifact's files into this folder
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: PlaceFlags,
    #[command(flatten)]
    pub(crate) urls: UrlFlags,
}

impl BatchFlags {
    /// The digest of an artifact that must be given.
    pub(crate) fn input(&self, wanted: &str) -> Result<Digest, Failure> {
        let given = self.inputs.iter().find(|(name, _)| name == wanted);
        given.map(|(_, digest)| *digest).ok_or_else(|| {
            Failure::usage(anyhow::anyhow!("{wanted} is missing: give {wanted}=DIGEST"))
        })
    }
}

/// Ingest reads raw files by a mapping.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct IngestFlags {
    /// Mapping of the raw files
    #[arg(long, value_name = "FILE.toml")]
    mapping: PathBuf,
    #[command(flatten)]
    batch: BatchFlags,
}

/// Stages that are commands of their own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Batch {
    Simulate,
    Features,
    Evaluate,
    Explain,
    Plan,
    Report,
}

/// Runs one stage and answers what it made.
pub(crate) async fn run(
    batch: Batch,
    flags: BatchFlags,
    is_quiet: bool,
) -> Result<StageOutcome, Failure> {
    let mut stages = Stages::open(&flags.place, &flags.urls, is_quiet)?;
    let artifact = match batch {
        Batch::Simulate => {
            let job = job("simulate", &flags, &[], &[])?;
            let make = |config: &_, _: &_, output: &Path, progress: &dyn lifecycle::Progress| {
                simulator::run(config, output, progress)
            };
            stages.make(job, make).await?
        }
        Batch::Features => {
            let job = job("features", &flags, features::Inputs::NEEDED, &[])?;
            let artifact = stages.features(job).await?;
            say_labels(&stages.fetched(artifact).await?)?;
            artifact
        }
        Batch::Evaluate => {
            use evaluator::Inputs;
            stages.evaluate(job("evaluate", &flags, Inputs::NEEDED, Inputs::OPTIONAL)?).await?
        }
        Batch::Explain => {
            stages.explain(job("explain", &flags, explainer::Inputs::NEEDED, &[])?).await?
        }
        Batch::Plan => stages.plan(job("plan", &flags, planner::Inputs::NEEDED, &[])?).await?,
        Batch::Report => {
            use report::Inputs;
            stages.report(job("report", &flags, Inputs::NEEDED, Inputs::OPTIONAL)?).await?
        }
    };
    deliver(stages, artifact, flags.out.as_deref()).await
}

/// One line on how far the labels of features can be relied on.
fn say_labels(features: &Path) -> Result<(), Failure> {
    let opened = tables::FeaturesDir::open(features);
    let reliability = opened.and_then(|features| features.reliability());
    let reliability = reliability.context("features").map_err(Failure::internal)?;
    if let Some(reliability) = reliability {
        crate::say(&reliability.to_string());
    }
    Ok(())
}

/// Ingests by a mapping and answers the data set.
pub(crate) async fn ingest(flags: IngestFlags, is_quiet: bool) -> Result<StageOutcome, Failure> {
    let IngestFlags { mapping, batch } = flags;
    let mut stages = Stages::open(&batch.place, &batch.urls, is_quiet)?;
    let Job { order, .. } = job::<ingest::Config>("ingest", &batch, &[], ingest::OPTIONAL_INPUTS)?;
    let raw = order.inputs.get("raw").copied();
    let artifact = runner::ingest(&mut stages, &mapping, order.config, raw).await?;
    deliver(stages, artifact, batch.out.as_deref()).await
}

/// The job that the flags describe.
pub(crate) fn job<C: DeserializeOwned>(
    stage: &'static str,
    flags: &BatchFlags,
    needed: &[&str],
    optional: &[&str],
) -> Result<stages::Job<C>, Failure> {
    for name in needed {
        if !flags.inputs.iter().any(|(given, _)| given == name) {
            let needed = needed.iter().map(|name| format!("{name}=DIGEST")).collect::<Vec<_>>();
            let error = anyhow::anyhow!("{stage} reads {}: {name} is missing", needed.join(" "));
            return Err(Failure::usage(error));
        }
    }
    for (number, (name, _)) in flags.inputs.iter().enumerate() {
        wire::check_input(name, needed, optional).map_err(|error| Failure::usage(error.into()))?;
        if flags.inputs[..number].iter().any(|(before, _)| before == name) {
            return Err(Failure::usage(anyhow::anyhow!("{name} is given twice")));
        }
    }
    let config = match &flags.config {
        Some(path) => toml_file::read(path, &format!("configuration of {stage}")),
        None => toml::from_str("").context("every setting has a default"),
    };
    let config = config.map_err(Failure::usage)?;
    let mut job = Job::new(stage, config);
    for (name, artifact) in &flags.inputs {
        job = job.reading(name.clone(), *artifact);
    }
    Ok(job)
}

/// Copies the artifact where it is wanted.
pub(crate) async fn deliver(
    mut stages: Stages,
    artifact: Digest,
    out: Option<&Path>,
) -> Result<StageOutcome, Failure> {
    if let Some(out) = out {
        copy(&stages.fetched(artifact).await?, out)?;
    }
    stages.outcomes.pop().context("no stage ran").map_err(Failure::internal)
}

/// Copies all files of a folder; what is there under other names stays.
fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(to).map_err(|error| Failure::given_path(to, error))?;
    for entry in std::fs::read_dir(from).map_err(|error| Failure::file(from, error))? {
        let entry = entry.map_err(|error| Failure::file(from, error))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target)?;
        } else {
            // A fetched file is read-only; its copy is the caller's.
            let _ = std::fs::remove_file(&target);
            std::fs::copy(&source, &target).map_err(|error| Failure::given_path(&target, error))?;
        }
    }
    Ok(())
}

fn named_digest(text: &str) -> Result<(String, Digest), String> {
    let (name, digest) = text.split_once('=').ok_or("must be NAME=DIGEST, such as dataset=3f…")?;
    let digest: Digest = digest.parse().map_err(|invalid: lifecycle::Invalid| {
        format!("`{digest}` {}: give the `artifact` of a stage before", invalid.reason)
    })?;
    Ok((name.to_owned(), digest))
}
