//! `lifecast train`: a model of some features, from scratch or from another model.

use lifecycle::Digest;
use serde::de::DeserializeOwned;

use crate::batch::{self, BatchFlags};
use crate::failure::Failure;
use crate::stages::{StageOutcome, Stages};

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
}

/// Where training starts.
#[derive(Debug, Clone, Copy)]
enum From {
    Named(trainer::Start),
    Model(Digest),
}

/// Trains, and answers the model.
pub(crate) async fn train(flags: TrainFlags, is_quiet: bool) -> Result<StageOutcome, Failure> {
    use trainer::Inputs;
    let TrainFlags { mut batch, from, adapt } = flags;
    let mut stages = Stages::open(&batch.place, &batch.urls, is_quiet)?;
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
    let artifact = stages.train(job).await?;
    batch::deliver(stages, artifact, batch.out.as_deref()).await
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
