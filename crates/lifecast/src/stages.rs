//! One stage at a time: found in the store, made in this process, or made by a server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use artifacts::{Folders, Order, Produced, Store, Workplace};
use lifecycle::{Digest, Progress};
use model::DeviceName;
use serde::Serialize;
use trainer::Launcher;

use crate::failure::Failure;
use crate::flags::{PlaceFlags, UrlFlags};
use crate::remote::{Remote, Work};
use crate::terminal::Bar;
use crate::workers::{WorkersFlags, with_world_size, world_size, world_size_of};
use crate::{CODE_VERSIONS, TARGET};

/// What came of one stage.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StageOutcome {
    /// Name, with the model's after a slash where there are several.
    pub(crate) name: String,
    /// Content digest of what it made.
    pub(crate) artifact: Digest,
    /// The store had it already.
    pub(crate) cached: bool,
    /// Wall time.
    pub(crate) seconds: f64,
}

/// What a stage is asked for.
#[derive(Debug)]
pub(crate) struct Job<C> {
    /// Stage name, as in the key.
    pub(crate) stage: &'static str,
    /// Name in progress and outcome.
    pub(crate) name: String,
    /// What is computed from what.
    pub(crate) order: Order<C>,
}

impl<C> Job<C> {
    /// A job of a stage that reads nothing yet.
    pub(crate) fn new(stage: &'static str, config: C) -> Self {
        Self { stage, name: stage.to_owned(), order: Order::new(config) }
    }

    /// The same job under another name.
    pub(crate) fn named(self, name: String) -> Self {
        Self { name, ..self }
    }

    /// The same job with one more artifact to read.
    pub(crate) fn reading(mut self, name: impl Into<String>, artifact: Digest) -> Self {
        self.order.inputs.insert(name.into(), artifact);
        self
    }
}

/// The store, the servers, and all that was done so far.
#[derive(Debug)]
pub(crate) struct Stages {
    store: Store,
    folder: PathBuf,
    urls: UrlFlags,
    is_quiet: bool,
    /// How workers are started, where several train.
    launcher: Option<Launcher>,
    /// Of trainings.
    world_size: String,
    /// In the order in which they were done.
    pub(crate) outcomes: Vec<StageOutcome>,
}

impl Stages {
    /// Opens the store.
    pub(crate) fn open(
        place: &PlaceFlags,
        urls: &UrlFlags,
        is_quiet: bool,
    ) -> Result<Self, Failure> {
        place.open_device()?;
        let store = Store::open(&place.store)?;
        let (folder, urls) = (place.work.clone(), urls.clone());
        let (launcher, world_size) = (None, world_size(1, 1));
        Ok(Self { store, folder, urls, is_quiet, launcher, world_size, outcomes: Vec::new() })
    }

    /// The same with so many workers for trainings in this process.
    pub(crate) fn with_workers(
        self,
        workers: &WorkersFlags,
        device: DeviceName,
    ) -> Result<Self, Failure> {
        if workers.workers != 1 && self.urls.of_stage("train").is_some() {
            let reason = "--workers is of trainings on this machine: give it to `lifecast serve`";
            return Err(Failure::usage(anyhow::Error::msg(reason)));
        }
        let launcher = workers.launcher(device)?;
        let world_size = launcher.as_ref().map_or(self.world_size, world_size_of);
        Ok(Self { launcher, world_size, ..self })
    }

    /// The same as one of several workers of a training.
    pub(crate) fn of_world(self, n_workers_min: usize, n_workers_max: usize) -> Self {
        Self { world_size: world_size(n_workers_min, n_workers_max), ..self }
    }

    /// The store.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Notes an artifact that another process made.
    pub(crate) fn found(&mut self, name: &str, artifact: Digest) {
        self.note(name.to_owned(), artifact, true, crate::clock::now());
    }

    /// Where a stage works in this process.
    pub(crate) fn place(&self, stage: &str) -> Workplace {
        let place = workplace(stage, &self.store, &self.folder);
        if stage == "train" { with_world_size(place, &self.world_size) } else { place }
    }

    /// The server of a stage, if it has one.
    pub(crate) fn remote(&self, stage: &str) -> Result<Option<Remote>, Failure> {
        self.urls.of_stage(stage).map(|url| Remote::new(url, &self.urls)).transpose()
    }

    /// Makes an artifact, or finds it: at the stage's server, or by `make` in this process.
    pub(crate) async fn make<C, S, E>(
        &mut self,
        job: Job<C>,
        make: impl FnOnce(&C, &Folders, &Path, &dyn Progress) -> Result<S, E> + Send + 'static,
    ) -> Result<Digest, Failure>
    where
        C: Serialize + Send + 'static,
        S: Send + 'static,
        E: Into<Failure> + Send + 'static,
    {
        if let Some(remote) = self.remote(job.stage)? {
            let Job { stage, name, order } = job;
            let work = Work { stage, config_toml: toml_of(&order.config)?, inputs: order.inputs };
            return self.make_there(&remote, name, work.into()).await;
        }
        let started = crate::clock::now();
        let bar = Bar::new(&job.name, self.is_quiet);
        let watched = bar.clone();
        let produced = self
            .place(job.stage)
            .produce(job.order, move |config, inputs, output| {
                make(config, inputs, output, &watched).map(drop).map_err(Into::into)
            })
            .await;
        bar.finish();
        let Produced { artifact, cached, key: _ } =
            produced.map_err(|error| Failure::of_production(&job.name, error))?;
        Ok(self.note(job.name, artifact.digest, cached, started))
    }

    /// Makes features.
    pub(crate) async fn features(&mut self, job: Job<features::Config>) -> Result<Digest, Failure> {
        let make = |config: &_, inputs: &Folders, output: &Path, progress: &dyn Progress| {
            features::run(config, &features::Inputs::named(inputs), output, progress)
        };
        self.make(job, make).await
    }

    /// Trains a model.
    pub(crate) async fn train(&mut self, job: Job<trainer::Config>) -> Result<Digest, Failure> {
        let checkpoint = self.place("train").checkpoint(&job.order);
        let launcher = self.launcher.clone();
        let make = move |config: &_, inputs: &Folders, output: &Path, progress: &dyn Progress| {
            let inputs = trainer::Inputs::named(inputs, &checkpoint);
            match &launcher {
                None => trainer::run(config, &inputs, output, progress),
                Some(launcher) => {
                    trainer::run_with_workers(config, &inputs, output, progress, launcher)
                }
            }
        };
        self.make(job, make).await
    }

    /// Forecasts with a model.
    pub(crate) async fn predict(&mut self, job: Job<predictor::Config>) -> Result<Digest, Failure> {
        let make = |config: &_, inputs: &Folders, output: &Path, progress: &dyn Progress| {
            predictor::run(config, &predictor::Inputs::named(inputs), output, progress)
        };
        self.make(job, make).await
    }

    /// Scores forecasts.
    pub(crate) async fn evaluate(
        &mut self,
        job: Job<evaluator::Config>,
    ) -> Result<Digest, Failure> {
        let make = |config: &_, inputs: &Folders, output: &Path, progress: &dyn Progress| {
            evaluator::run(config, &evaluator::Inputs::named(inputs), output, progress)
        };
        self.make(job, make).await
    }

    /// Explains forecasts.
    pub(crate) async fn explain(&mut self, job: Job<explainer::Config>) -> Result<Digest, Failure> {
        let make = |config: &_, inputs: &Folders, output: &Path, progress: &dyn Progress| {
            explainer::run(config, &explainer::Inputs::named(inputs), output, progress)
        };
        self.make(job, make).await
    }

    /// Plans from forecasts.
    pub(crate) async fn plan(&mut self, job: Job<planner::Config>) -> Result<Digest, Failure> {
        let make = |config: &_, inputs: &Folders, output: &Path, progress: &dyn Progress| {
            planner::run(config, &planner::Inputs::named(inputs), output, progress)
        };
        self.make(job, make).await
    }

    /// Writes the report.
    pub(crate) async fn report(&mut self, job: Job<report::Config>) -> Result<Digest, Failure> {
        let inputs = job.order.inputs.iter();
        let artifacts: Vec<(String, String)> =
            inputs.map(|(name, digest)| (name.clone(), digest.to_string())).collect();
        let make = move |config: &_, inputs: &Folders, output: &Path, progress: &dyn Progress| {
            let inputs = report::Inputs::named(inputs, &artifacts);
            report::run(config, &inputs, output, progress)
        };
        self.make(job, make).await
    }

    /// Has a server make an artifact, or find it.
    pub(crate) async fn make_there(
        &mut self,
        remote: &Remote,
        name: String,
        request: crate::remote::Request,
    ) -> Result<Digest, Failure> {
        let started = crate::clock::now();
        let bar = Bar::new(&name, self.is_quiet);
        let outcome = remote.make(request, &bar).await;
        bar.finish();
        let outcome = outcome.map_err(|failure| failure.of_stage(&name))?;
        Ok(self.note(name, outcome.artifact, outcome.cached, started))
    }

    fn note(
        &mut self,
        name: String,
        artifact: Digest,
        cached: bool,
        started: std::time::Instant,
    ) -> Digest {
        let seconds = started.elapsed().as_secs_f64();
        let how = if cached { "found" } else { "made" };
        crate::say(&format!("{name:>18}  {how:<5} {}  {seconds:>7.1} s", artifact.short()));
        self.outcomes.push(StageOutcome { name, artifact, cached, seconds });
        artifact
    }

    /// Fetches an artifact and answers its folder.
    pub(crate) async fn fetched(&self, artifact: Digest) -> Result<PathBuf, Failure> {
        Ok(self.place("").fetch(&artifact).await?)
    }
}

/// Where a stage works: all that uses this store and program finds each other's artifacts.
pub(crate) fn workplace(stage: &str, store: &Store, folder: &Path) -> Workplace {
    // The other stages make the same bytes wherever networks compute.
    let device = match stage {
        "train" | "predict" | "explain" => model::process_device().kind(),
        _ => "cpu".to_owned(),
    };
    let known = CODE_VERSIONS.iter().find(|(name, _)| *name == stage);
    Workplace {
        stage: stage.to_owned(),
        code_version: known.map_or("", |(_, version)| version).to_owned(),
        execution: BTreeMap::from([
            ("device".to_owned(), device),
            ("target".to_owned(), TARGET.to_owned()),
            ("world_size".to_owned(), "1".to_owned()),
        ]),
        store: store.clone(),
        // Absolute, for paths below it stand in mappings, which have a folder of their own.
        folder: std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()),
    }
}

/// A configuration as a request carries it.
pub(crate) fn toml_of(config: &impl Serialize) -> Result<String, Failure> {
    toml::to_string(config).map_err(|error| Failure::internal(error.into()))
}
