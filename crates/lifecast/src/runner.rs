//! Runs a pipeline: each stage once, or not at all where the store has its answer.

use std::path::{Path, PathBuf};

use anyhow::Context;
use lifecycle::{Digest, Score};
use serde::{Deserialize, Serialize};

use crate::customer_key;
use crate::failure::Failure;
use crate::flags::{PlaceFlags, UrlFlags};
use crate::pipeline::{ModelEntry, OURS, Pipeline};
use crate::remote::{Request, Work};
use crate::stages::{Job, StageOutcome, Stages, toml_of};
use crate::workers::WorkersFlags;

/// Where a run keeps things and how it talks.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Store and work folder.
    pub(crate) folders: PlaceFlags,
    /// Servers of stages.
    pub(crate) urls: UrlFlags,
    /// Processes that train.
    pub(crate) workers: WorkersFlags,
    /// Mapping that replaces the pipeline's.
    pub(crate) data: Option<PathBuf>,
    /// Where the report is copied to, if anywhere.
    pub(crate) report: Option<PathBuf>,
    /// No progress bars.
    pub(crate) is_quiet: bool,
}

/// What a run did; the last line of `--json`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outcome {
    /// Path of the report.
    pub(crate) report: PathBuf,
    /// Wall time.
    pub(crate) seconds: f64,
    /// Highest sum of resident memory over our processes.
    pub(crate) peak_memory_bytes: u64,
    /// Every stage in order.
    pub(crate) stages: Vec<StageOutcome>,
    /// Greatest gap between an explanation and the served answer.
    pub(crate) attribution_gap_max: f64,
    /// The score table.
    pub(crate) scores: Vec<Score>,
    /// One line on the label that stages are scored against.
    pub(crate) label: Option<String>,
}

/// What live calls ask about when they do not say: the last run's, in `last-run.json` of the work
/// folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LastRun {
    /// Content digest of our model.
    pub(crate) model: Digest,
    /// Content digest of the features.
    pub(crate) features: Digest,
}

impl LastRun {
    fn path(work: &Path) -> PathBuf {
        work.join("last-run.json")
    }

    /// What the last run in a work folder made; `None` where none did.
    pub(crate) fn read(work: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(Self::path(work)).ok()?).ok()
    }

    /// Says that this run was the last.
    pub(crate) fn write(&self, work: &Path) -> Result<(), Failure> {
        let path = Self::path(work);
        let text = serde_json::to_vec(self).expect("two digests are plain data");
        std::fs::create_dir_all(work).map_err(|error| Failure::file(work, error))?;
        std::fs::write(&path, text).map_err(|error| Failure::file(&path, error))
    }
}

/// Runs all stages and answers what they made.
pub(crate) async fn run(pipeline: &Pipeline, place: &Place) -> Result<Outcome, Failure> {
    let started = crate::clock::now();
    let memory = service::PeakMemory::watch();
    let stages = Stages::open(&place.folders, &place.urls, place.is_quiet)?
        .with_workers(&place.workers, place.folders.device)?;
    let mut runner = Runner { stages, place: place.clone(), truth: None };
    let dataset = runner.data_set(pipeline).await?;
    let features = runner.features(pipeline, dataset).await?;
    let mut models = Vec::new();
    for entry in &pipeline.model {
        models.push((entry.name.clone(), runner.train(entry, features).await?));
    }
    let mut forecasts = Vec::new();
    for (name, model) in &models {
        let digest = runner.predict(pipeline, name, features, *model).await?;
        forecasts.push((name.clone(), digest));
    }
    let digest_of = |all: &[(String, Digest)], wanted: &str| {
        all.iter().find(|(name, _)| name == wanted).map(|(_, digest)| *digest)
    };
    let ours = |all: &[(String, Digest)]| {
        digest_of(all, OURS).context("the pipeline trains no model of ours").map_err(Failure::usage)
    };
    let (our_model, our_forecasts) = (ours(&models)?, ours(&forecasts)?);
    let scores = runner.evaluate(pipeline, features, &forecasts).await?;
    let explanations = runner.explain(pipeline, features, our_model, our_forecasts).await?;
    let plans = runner.plan(pipeline, our_forecasts).await?;
    let made = Made {
        dataset,
        features,
        forecasts: our_forecasts,
        scores,
        explanations,
        plans,
        dense: digest_of(&models, "dense"),
    };
    let report = runner.report(pipeline, &made).await?;
    let report = runner.deliver(report).await?;
    LastRun { model: our_model, features }.write(&place.folders.work)?;
    Ok(Outcome {
        report,
        seconds: started.elapsed().as_secs_f64(),
        peak_memory_bytes: memory.peak_bytes(),
        attribution_gap_max: runner.attribution_gap(explanations).await?,
        scores: runner.scores(scores).await?,
        label: runner.label_line(scores).await?,
        stages: runner.stages.outcomes,
    })
}

/// The artifacts that the report shows.
#[derive(Debug, Clone, Copy)]
struct Made {
    dataset: Digest,
    features: Digest,
    forecasts: Digest,
    scores: Digest,
    explanations: Digest,
    plans: Digest,
    dense: Option<Digest>,
}

struct Runner {
    stages: Stages,
    place: Place,
    truth: Option<Digest>,
}

impl Runner {
    /// Simulates first where the pipeline says so, then ingests.
    async fn data_set(&mut self, pipeline: &Pipeline) -> Result<Digest, Failure> {
        if let Some(config) = pipeline.simulate.clone() {
            let job = Job::new("simulate", config);
            let simulated = self
                .stages
                .make(job, |config, _, output, progress| simulator::run(config, output, progress));
            self.truth = Some(simulated.await?);
        }
        let mapping = self.place.data.clone().or_else(|| pipeline.ingest.mapping.clone());
        let mapping = mapping
            .context("no data: give --data MAPPING.toml, or `mapping` under [ingest]")
            .map_err(Failure::usage)?;
        ingest(&mut self.stages, &mapping, pipeline.ingest.config.clone(), self.truth).await
    }

    async fn features(&mut self, pipeline: &Pipeline, dataset: Digest) -> Result<Digest, Failure> {
        let job = Job::new("features", pipeline.features.clone()).reading("dataset", dataset);
        self.stages.features(job).await
    }

    async fn train(&mut self, entry: &ModelEntry, features: Digest) -> Result<Digest, Failure> {
        let job = Job::new("train", entry.config.clone())
            .named(format!("train/{}", entry.name))
            .reading("features", features);
        self.stages.train(job).await
    }

    async fn predict(
        &mut self,
        pipeline: &Pipeline,
        name: &str,
        features: Digest,
        model: Digest,
    ) -> Result<Digest, Failure> {
        let config = predictor::Config { name: name.to_owned(), ..pipeline.predict.clone() };
        let job = Job::new("predict", config)
            .named(format!("predict/{name}"))
            .reading("features", features)
            .reading("model", model);
        self.stages.predict(job).await
    }

    async fn evaluate(
        &mut self,
        pipeline: &Pipeline,
        features: Digest,
        forecasts: &[(String, Digest)],
    ) -> Result<Digest, Failure> {
        let mut job = Job::new("evaluate", pipeline.evaluate.clone()).reading("features", features);
        if let Some(truth) = self.truth {
            job = job.reading("truth", truth);
        }
        for (name, digest) in forecasts {
            job = job.reading(format!("{}{name}", evaluator::Inputs::FORECASTS), *digest);
        }
        self.stages.evaluate(job).await
    }

    async fn explain(
        &mut self,
        pipeline: &Pipeline,
        features: Digest,
        model: Digest,
        forecasts: Digest,
    ) -> Result<Digest, Failure> {
        let job = Job::new("explain", pipeline.explain.clone())
            .reading("features", features)
            .reading("model", model)
            .reading("forecasts", forecasts);
        self.stages.explain(job).await
    }

    async fn plan(&mut self, pipeline: &Pipeline, forecasts: Digest) -> Result<Digest, Failure> {
        let job = Job::new("plan", pipeline.plan.clone()).reading("forecasts", forecasts);
        self.stages.plan(job).await
    }

    async fn report(&mut self, pipeline: &Pipeline, made: &Made) -> Result<Digest, Failure> {
        let Made { dataset, features, forecasts, scores, explanations, plans, dense } = *made;
        let mut job = Job::new("report", pipeline.report.clone())
            .reading("dataset", dataset)
            .reading("features", features)
            .reading("forecasts", forecasts)
            .reading("scores", scores)
            .reading("explanations", explanations)
            .reading("plans", plans);
        if let Some(dense) = dense {
            job = job.reading("dense", dense);
        }
        self.stages.report(job).await
    }

    /// The report's path: where it was fetched to, or the copy that was asked for.
    async fn deliver(&self, report: Digest) -> Result<PathBuf, Failure> {
        let fetched = self.stages.fetched(report).await?.join("report.html");
        let Some(wanted) = &self.place.report else { return Ok(fetched) };
        if let Some(folder) = wanted.parent() {
            std::fs::create_dir_all(folder).map_err(|error| Failure::given_path(folder, error))?;
        }
        // A fetched file is read-only, and so is an older copy of one.
        let _ = std::fs::remove_file(wanted);
        std::fs::copy(&fetched, wanted).map_err(|error| Failure::given_path(wanted, error))?;
        Ok(wanted.clone())
    }

    async fn attribution_gap(&self, explanations: Digest) -> Result<f64, Failure> {
        let path = self.stages.fetched(explanations).await?.join("explanations.json");
        let text = std::fs::read(&path).map_err(|error| Failure::file(&path, error))?;
        let summary: explainer::Summary = serde_json::from_slice(&text)
            .with_context(|| format!("{}: is not what explain writes", path.display()))
            .map_err(Failure::internal)?;
        Ok(summary.attribution_gap_max)
    }

    async fn label_line(&self, scores: Digest) -> Result<Option<String>, Failure> {
        let path = self.stages.fetched(scores).await?.join("scores.json");
        let text = std::fs::read(&path).map_err(|error| Failure::file(&path, error))?;
        let results: evaluator::Results = serde_json::from_slice(&text)
            .with_context(|| format!("{}: is not what evaluate writes", path.display()))
            .map_err(Failure::internal)?;
        Ok(results.label_line())
    }

    async fn scores(&self, scores: Digest) -> Result<Vec<Score>, Failure> {
        let path = self.stages.fetched(scores).await?.join("scores.parquet");
        tables::read(&path).context("the score table cannot be read").map_err(Failure::internal)
    }
}

/// Ingests by a mapping; `raw` is an artifact of raw files that the mapping names by
/// `${LIFECAST_RAW}`.
pub(crate) async fn ingest(
    stages: &mut Stages,
    mapping: &Path,
    config: ingest::Config,
    raw: Option<Digest>,
) -> Result<Digest, Failure> {
    if let Some(remote) = stages.remote("ingest")? {
        let inputs = raw.map(|raw| ("raw".to_owned(), raw)).into_iter().collect();
        let work = Work { stage: "ingest", config_toml: toml_of(&config)?, inputs };
        let request = Request::with_mapping(work, mapping);
        return stages.make_there(&remote, "ingest".into(), request).await;
    }
    let mut variables: ingest::Variables = std::env::vars().collect();
    if let Some(raw) = raw {
        variables.set(ingest::RAW, stages.fetched(raw).await?.display().to_string());
    }
    let key = customer_key::read_or_make(&stages.place("ingest").folder)?;
    let mapping = ingest::Mapping::load(mapping, &variables)?;
    let order = ingest::order(config, &mapping, &key)?;
    let job = Job { stage: "ingest", name: "ingest".into(), order };
    let make = move |config: &_, _: &_, output: &Path, progress: &dyn lifecycle::Progress| {
        ingest::run_mapping(config, &mapping, &key, output, progress)
    };
    stages.make(job, make).await
}
