//! Runs a pipeline in this process: each stage once, or not at all where the store has its answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use artifacts::{Key, Produced, Store};
use lifecycle::{Digest, Score};
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;
use crate::memory::PeakMemory;
use crate::pipeline::{OURS, Pipeline};
use crate::terminal::Bar;
use crate::{code_version, customer_key};

/// Where a run keeps things and how it talks.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Object store of artifacts.
    pub(crate) store: String,
    /// Folder for fetched artifacts, unfinished work and checkpoints.
    pub(crate) work: PathBuf,
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
}

/// One stage of a run.
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

/// Runs all stages and answers what they made.
pub(crate) async fn run(pipeline: &Pipeline, place: &Place) -> Result<Outcome, Failure> {
    let started = crate::clock::now();
    let memory = PeakMemory::watch();
    let mut runner = Runner::open(place)?;
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
    Ok(Outcome {
        report,
        seconds: started.elapsed().as_secs_f64(),
        peak_memory_bytes: memory.peak_bytes(),
        attribution_gap_max: runner.attribution_gap(explanations).await?,
        scores: runner.scores(scores).await?,
        stages: runner.stages,
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

/// What a stage is given to make its artifact.
struct Job<'a> {
    /// Stage name, as in the key.
    stage: &'static str,
    /// Name in progress and outcome.
    name: String,
    /// What it computes.
    config: Value,
    /// Artifacts to fetch.
    inputs: Vec<(&'a str, Digest)>,
    /// Digests of what it reads besides artifacts.
    files: BTreeMap<String, Digest>,
}

struct Runner {
    store: Store,
    place: Place,
    stages: Vec<StageOutcome>,
    truth: Option<Digest>,
}

impl Runner {
    fn open(place: &Place) -> Result<Self, Failure> {
        let store = Store::open(&place.store)?;
        Ok(Self { store, place: place.clone(), stages: Vec::new(), truth: None })
    }

    /// Makes one artifact, or finds it.
    async fn stage<E: Into<Failure> + Send + 'static>(
        &mut self,
        job: Job<'_>,
        make: impl FnOnce(&BTreeMap<String, PathBuf>, &Path, &Bar) -> Result<(), E> + Send + 'static,
    ) -> Result<Digest, Failure> {
        let started = crate::clock::now();
        let mut inputs = job.files;
        let fetched: BTreeMap<String, Digest> =
            job.inputs.iter().map(|(name, digest)| ((*name).to_owned(), *digest)).collect();
        inputs.extend(fetched.clone());
        let key = Key {
            stage: job.stage.to_owned(),
            code_version: code_version(job.stage).to_owned(),
            config: job.config,
            inputs,
            execution: crate::execution(),
        };
        let bar = Bar::new(&job.name, self.place.is_quiet);
        let Produced { artifact, cached } = self
            .store
            .produce(&key, &fetched, &self.place.work, move |inputs, output| {
                let made = make(inputs, output, &bar).map_err(Into::into);
                bar.finish();
                made
            })
            .await
            .map_err(|error| Failure::of_production(&job.name, error))?;
        let outcome = StageOutcome {
            name: job.name,
            artifact: artifact.digest,
            cached,
            seconds: started.elapsed().as_secs_f64(),
        };
        Self::say(&outcome);
        self.stages.push(outcome);
        Ok(artifact.digest)
    }

    fn say(stage: &StageOutcome) {
        let how = if stage.cached { "found" } else { "made" };
        let digest = stage.artifact.short();
        crate::say(&format!("{:>18}  {how:<5} {digest}  {:>7.1} s", stage.name, stage.seconds));
    }

    async fn fetched(&self, digest: Digest) -> Result<PathBuf, Failure> {
        Ok(self.store.fetch(&digest, &self.place.work.join("fetched")).await?)
    }

    /// Simulates first where the pipeline says so, then ingests.
    async fn data_set(&mut self, pipeline: &Pipeline) -> Result<Digest, Failure> {
        let mut variables: Vec<(String, String)> = std::env::vars().collect();
        if let Some(config) = pipeline.simulate.clone() {
            let job = Job::new("simulate", &config);
            let simulated = self
                .stage(job, move |_, output, bar| simulator::run(&config, output, bar).map(drop))
                .await?;
            self.truth = Some(simulated);
            let folder = self.fetched(simulated).await?;
            variables.push(("LIFECAST_SIMULATED".into(), folder.display().to_string()));
        }
        let mapping = self.place.data.clone().or_else(|| pipeline.ingest.mapping.clone());
        let mapping = mapping
            .context("no data: give --data MAPPING.toml, or `mapping` under [ingest]")
            .map_err(Failure::usage)?;
        let config = pipeline.ingest.config.clone();
        let customer_key = customer_key::read_or_make(&self.place.work)?;
        let variables: ingest::Variables = variables.into_iter().collect();
        let mut job = Job::new("ingest", &config);
        for file in ingest::input_files(&mapping, &variables)? {
            job.files.insert(file.name, file.digest);
        }
        job.files.insert("customer key".into(), Digest::of(&customer_key));
        self.stage(job, move |_, output, bar| {
            let inputs =
                ingest::Inputs { mapping: &mapping, variables: &variables, key: &customer_key };
            ingest::run(&config, &inputs, output, bar).map(drop)
        })
        .await
    }

    async fn features(&mut self, pipeline: &Pipeline, dataset: Digest) -> Result<Digest, Failure> {
        let config = pipeline.features.clone();
        let job = Job::new("features", &config).reading(&[("dataset", dataset)]);
        self.stage(job, move |inputs, output, bar| {
            let inputs = features::Inputs { dataset: &inputs["dataset"] };
            features::run(&config, &inputs, output, bar).map(drop)
        })
        .await
    }

    async fn train(
        &mut self,
        entry: &crate::pipeline::ModelEntry,
        features: Digest,
    ) -> Result<Digest, Failure> {
        let config = entry.config.clone();
        let job = Job::new("train", &config)
            .named(format!("train/{}", entry.name))
            .reading(&[("features", features)]);
        let checkpoints = self.place.work.join("checkpoints");
        let place = Digest::of(format!("{features}{}", job.config)).to_string();
        let checkpoint = checkpoints.join(place);
        self.stage(job, move |inputs, output, bar| {
            let inputs =
                trainer::Inputs { features: &inputs["features"], checkpoint: Some(&checkpoint) };
            trainer::run(&config, &inputs, output, bar).map(drop)
        })
        .await
    }

    async fn predict(
        &mut self,
        pipeline: &Pipeline,
        name: &str,
        features: Digest,
        model: Digest,
    ) -> Result<Digest, Failure> {
        let config = predictor::Config { name: name.to_owned(), ..pipeline.predict.clone() };
        let job = Job::new("predict", &config)
            .named(format!("predict/{name}"))
            .reading(&[("features", features), ("model", model)]);
        self.stage(job, move |inputs, output, bar| {
            let inputs =
                predictor::Inputs { features: &inputs["features"], model: &inputs["model"] };
            predictor::run(&config, &inputs, output, bar).map(drop)
        })
        .await
    }

    async fn evaluate(
        &mut self,
        pipeline: &Pipeline,
        features: Digest,
        forecasts: &[(String, Digest)],
    ) -> Result<Digest, Failure> {
        let config = pipeline.evaluate.clone();
        let mut reading = vec![("features", features)];
        reading.extend(self.truth.map(|truth| ("truth", truth)));
        let named: Vec<(String, Digest)> =
            forecasts.iter().map(|(name, digest)| (format!("forecasts/{name}"), *digest)).collect();
        reading.extend(named.iter().map(|(name, digest)| (name.as_str(), *digest)));
        let job = Job::new("evaluate", &config).reading(&reading);
        let names: Vec<String> = forecasts.iter().map(|(name, _)| name.clone()).collect();
        self.stage(job, move |inputs, output, bar| {
            let forecasts = names
                .iter()
                .map(|name| (name.as_str(), inputs[&format!("forecasts/{name}")].as_path()))
                .collect();
            let inputs = evaluator::Inputs {
                features: &inputs["features"],
                forecasts,
                truth: inputs.get("truth").map(PathBuf::as_path),
            };
            evaluator::run(&config, &inputs, output, bar).map(drop)
        })
        .await
    }

    async fn explain(
        &mut self,
        pipeline: &Pipeline,
        features: Digest,
        model: Digest,
        forecasts: Digest,
    ) -> Result<Digest, Failure> {
        let config = pipeline.explain.clone();
        let job = Job::new("explain", &config).reading(&[
            ("features", features),
            ("model", model),
            ("forecasts", forecasts),
        ]);
        self.stage(job, move |inputs, output, bar| {
            let inputs = explainer::Inputs {
                features: &inputs["features"],
                model: &inputs["model"],
                forecasts: &inputs["forecasts"],
            };
            explainer::run(&config, &inputs, output, bar).map(drop)
        })
        .await
    }

    async fn plan(&mut self, pipeline: &Pipeline, forecasts: Digest) -> Result<Digest, Failure> {
        let config = pipeline.plan.clone();
        let job = Job::new("plan", &config).reading(&[("forecasts", forecasts)]);
        self.stage(job, move |inputs, output, bar| {
            let inputs = planner::Inputs { forecasts: &inputs["forecasts"] };
            planner::run(&config, &inputs, output, bar).map(drop)
        })
        .await
    }

    async fn report(&mut self, pipeline: &Pipeline, made: &Made) -> Result<Digest, Failure> {
        let config = pipeline.report.clone();
        let mut reading = vec![
            ("dataset", made.dataset),
            ("features", made.features),
            ("forecasts", made.forecasts),
            ("scores", made.scores),
            ("explanations", made.explanations),
            ("plans", made.plans),
        ];
        reading.extend(made.dense.map(|dense| ("dense", dense)));
        let job = Job::new("report", &config).reading(&reading);
        let artifacts: Vec<(String, String)> =
            reading.iter().map(|(name, digest)| ((*name).to_owned(), digest.to_string())).collect();
        self.stage(job, move |inputs, output, bar| {
            let inputs = report::Inputs {
                dataset: &inputs["dataset"],
                features: &inputs["features"],
                forecasts: &inputs["forecasts"],
                scores: &inputs["scores"],
                explanations: &inputs["explanations"],
                plans: &inputs["plans"],
                dense: inputs.get("dense").map(PathBuf::as_path),
                artifacts: &artifacts,
            };
            report::run(&config, &inputs, output, bar).map(drop)
        })
        .await
    }

    /// The report's path: where it was fetched to, or the copy that was asked for.
    async fn deliver(&self, report: Digest) -> Result<PathBuf, Failure> {
        let fetched = self.fetched(report).await?.join("report.html");
        let Some(wanted) = &self.place.report else { return Ok(fetched) };
        if let Some(folder) = wanted.parent() {
            std::fs::create_dir_all(folder).map_err(|error| Failure::file(folder, error))?;
        }
        std::fs::copy(&fetched, wanted).map_err(|error| Failure::file(wanted, error))?;
        Ok(wanted.clone())
    }

    async fn attribution_gap(&self, explanations: Digest) -> Result<f64, Failure> {
        let path = self.fetched(explanations).await?.join("explanations.json");
        let text = std::fs::read(&path).map_err(|error| Failure::file(&path, error))?;
        let summary: explainer::Summary = serde_json::from_slice(&text)
            .with_context(|| format!("{}: is not what explain writes", path.display()))
            .map_err(Failure::internal)?;
        Ok(summary.attribution_gap_max)
    }

    async fn scores(&self, scores: Digest) -> Result<Vec<Score>, Failure> {
        let path = self.fetched(scores).await?.join("scores.parquet");
        tables::read(&path).context("the score table cannot be read").map_err(Failure::internal)
    }
}

impl<'a> Job<'a> {
    fn new(stage: &'static str, config: &impl Serialize) -> Self {
        let config = serde_json::to_value(config).expect("a configuration is plain data");
        let name = stage.to_owned();
        Self { stage, name, config, inputs: Vec::new(), files: BTreeMap::new() }
    }

    fn named(self, name: String) -> Self {
        Self { name, ..self }
    }

    fn reading(self, inputs: &[(&'a str, Digest)]) -> Self {
        Self { inputs: inputs.to_vec(), ..self }
    }
}
