//! `lifecast predict`: forecasts of features by a model, or of raw files by the built-in model with
//! no training at all.

use std::path::PathBuf;

use lifecycle::Digest;

use crate::batch::{self, BatchFlags};
use crate::failure::Failure;
use crate::runner::{self, LastRun};
use crate::stages::{Job, StageOutcome, Stages};

/// What is forecast, and by which model.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PredictFlags {
    #[command(flatten)]
    batch: BatchFlags,
    /// The model, in place of `model=DIGEST`: `builtin` answers at once, without training
    #[arg(long, value_name = "MODEL")]
    model: Option<Named>,
    /// Mapping of raw files to forecast, in place of `features=DIGEST`
    #[arg(long, value_name = "FILE.toml", requires = "model")]
    data: Option<PathBuf>,
    /// A rolling back-test from so many origins before the last period, in place of the forecasts
    /// that the configuration names
    #[arg(long, value_name = "N")]
    origins: Option<usize>,
}

/// A model that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Named {
    /// The built-in model
    Builtin,
}

/// Forecasts, and answers the tables of forecasts.
pub(crate) async fn predict(flags: PredictFlags, is_quiet: bool) -> Result<StageOutcome, Failure> {
    let PredictFlags { mut batch, model, data, origins } = flags;
    let is_given = |wanted: &str| batch.inputs.iter().any(|(name, _)| name == wanted);
    if (data.is_some() && is_given("features")) || (model.is_some() && is_given("model")) {
        let reason = "give `features` or --data, and `model` or --model, not both";
        return Err(Failure::usage(anyhow::anyhow!(reason)));
    }
    let mut stages = Stages::open(&batch.place, &batch.urls, is_quiet)?;
    if let Some(mapping) = &data {
        let ingest = ingest::Config::default();
        let dataset = runner::ingest(&mut stages, mapping, ingest, None).await?;
        let config = features::Config { whole: true, ..features::Config::default() };
        let job = Job::new("features", config).reading("dataset", dataset);
        batch.inputs.push(("features".to_owned(), stages.features(job).await?));
    }
    if model == Some(Named::Builtin) {
        let features = batch.input("features")?;
        let model = placed(&mut stages, features).await?;
        batch.inputs.push(("model".to_owned(), model));
        LastRun { model, features }.write(&batch.place.work)?;
    }
    let mut job = batch::job("predict", &batch, predictor::Inputs::NEEDED, &[])?;
    let config: &mut predictor::Config = &mut job.order.config;
    if data.is_some() {
        // Features that are known to the end have no test and no validation part.
        (config.test, config.validation) = (false, false);
    }
    if let Some(origins) = origins {
        (config.test, config.validation, config.latest) = (false, false, false);
        config.back_test = origins;
    }
    let artifact = stages.predict(job).await?;
    batch::deliver(stages, artifact, batch.out.as_deref()).await
}

/// The built-in model as it answers for some features.
async fn placed(stages: &mut Stages, features: Digest) -> Result<Digest, Failure> {
    let (from, steps_max) = (trainer::Start::Builtin, 0);
    let config = trainer::Config { from, steps_max, ..trainer::Config::default() };
    stages.train(Job::new("train", config).reading("features", features)).await
}
