//! `lifecast train`: a model of some features, from scratch or from another model; or a search for
//! the settings to train it with.

use std::fmt::Write;
use std::path::PathBuf;

use lifecycle::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use trainer::Suggestion;

use crate::batch::{self, BatchFlags};
use crate::failure::Failure;
use crate::search::{self, Found};
use crate::stages::{StageOutcome, Stages};
use crate::workers::WorkersFlags;

/// What is trained, from where.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TrainFlags {
    #[command(flatten)]
    batch: BatchFlags,
    /// Where training starts, in place of the configuration's `from`: `scratch`, `builtin`, or the
    /// digest of a model
    #[arg(long, value_name = "MODEL", value_parser = from)]
    from: Option<From>,
    /// What of that model is trained, in place of the configuration's `adapt`: `full`, `probe`,
    /// `adapter`, `lora` or `adalora`
    #[arg(long, value_parser = word::<trainer::Adapt>)]
    adapt: Option<trainer::Adapt>,
    #[command(flatten)]
    workers: WorkersFlags,
    /// Search for settings by successive halving, in place of training once: trials, steps and the
    /// space of settings; those that are not searched are the configuration's
    #[arg(long, value_name = "SEARCH.toml", conflicts_with = "out")]
    search: Option<PathBuf>,
    /// Name so many products whose stage somebody should say, most doubtful
    /// first: of the training, or of the model that `--from` names, which then is not trained
    #[arg(long, value_name = "N", conflicts_with_all = ["search", "out"])]
    suggest_labels: Option<usize>,
}

/// What came of it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Trained {
    /// A model.
    Model(StageOutcome),
    /// Settings.
    Settings(Found),
    /// Products to look at.
    Suggestions(Vec<Suggestion>),
}

/// Where training starts.
#[derive(Debug, Clone, Copy)]
enum From {
    Named(trainer::Start),
    Model(Digest),
}

/// Trains, and answers the model; or searches, and answers the settings.
pub(crate) async fn train(flags: TrainFlags, is_quiet: bool) -> Result<Trained, Failure> {
    use trainer::Inputs;
    let TrainFlags { mut batch, from, adapt, workers, search, suggest_labels } = flags;
    let mut stages = Stages::open(&batch.place, &batch.urls, is_quiet)?
        .with_workers(&workers, batch.place.device)?;
    if let Some(From::Model(digest)) = from {
        batch.inputs.push(("base".to_owned(), digest));
    }
    let mut job = batch::job("train", &batch, Inputs::NEEDED, Inputs::OPTIONAL)?;
    let config: &mut trainer::Config = &mut job.order.config;
    match from {
        Some(From::Named(start)) => config.from = start,
        Some(From::Model(_)) => config.from = trainer::Start::Model,
        None => {}
    }
    config.adapt = adapt.unwrap_or(config.adapt);
    if let Some(file) = search {
        let places = (file.as_path(), batch.place.work.as_path());
        return search::search(&mut stages, job, places).await.map(Trained::Settings);
    }
    if let Some(n) = suggest_labels {
        let config = job.order.config.clone();
        let model = match from {
            Some(From::Model(model)) => model,
            _ => stages.train(job).await?,
        };
        let features = stages.fetched(batch.input("features")?).await?;
        let model = stages.fetched(model).await?;
        return Ok(Trained::Suggestions(trainer::suggestions(&model, &features, &config, n)?));
    }
    let artifact = stages.train(job).await?;
    batch::deliver(stages, artifact, batch.out.as_deref()).await.map(Trained::Model)
}

/// Suggestions as CSV.
pub(crate) fn csv(suggestions: &[Suggestion]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut text = String::from(
        "product,category,origin,introduction,growth,maturity,decline,information,reason\n",
    );
    for Suggestion { product, category, origin, stages, information, reason } in suggestions {
        let category = category.as_deref().map_or_else(String::new, quoted);
        let stages = stages.map(|p| format!("{p:.3}")).join(",");
        let (product, reason) = (quoted(product.as_str()), quoted(reason));
        let _ = writeln!(text, "{product},{category},{origin},{stages},{information:.4},{reason}");
    }
    text
}

fn from(text: &str) -> Result<From, String> {
    match text {
        "scratch" | "builtin" => word(text).map(From::Named),
        _ => text.parse().map(From::Model).map_err(|_| {
            "must be `scratch`, `builtin`, or the digest that `train` answered as `artifact`"
                .to_owned()
        }),
    }
}

/// A word of a configuration.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_configuration() {
        assert_eq!(word::<trainer::Adapt>("lora"), Ok(trainer::Adapt::Lora));
        assert!(word::<trainer::Adapt>("laura").expect_err("no such word").contains("adalora"));
        assert!(matches!(from("builtin"), Ok(From::Named(trainer::Start::Builtin))));
        assert!(matches!(from(&"a".repeat(64)), Ok(From::Model(_))));
        assert!(from("mine").is_err());
    }
}
