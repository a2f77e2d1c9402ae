//! The data of a set, through the stages that every bench begins with.

use std::path::Path;

use anyhow::Context;
use artifacts::Order;
use lifecycle::Digest;
use toml::Table;

use super::exchange;
use super::sets::{Pipeline, Set};
use super::workshop::{Made, Workshop, code_of, files_below};
use crate::workspace_root;

/// What is made of a set before any model.
#[derive(Debug, Clone, Copy)]
pub struct Data {
    /// The simulator's artifact, with the truth, of a set that is simulated.
    pub simulate: Option<Made>,
    /// The data set.
    pub ingest: Made,
    /// Panels, labels and splits.
    pub features: Made,
}

impl Data {
    /// Makes what is not there yet.
    pub async fn make(workshop: &Workshop, set: Set, pipeline: &Pipeline) -> anyhow::Result<Self> {
        let time = || workshop.budget.for_forecasts().context("the time for forecasts is over");
        let mut simulate = None;
        if pipeline.is_simulated() {
            let settings = pipeline.section("simulate");
            simulate = Some(workshop.stage("simulate", &settings, &[], time()?).await?);
        }
        let mut arguments = vec!["--mapping".to_owned(), set.mapping().display().to_string()];
        arguments.extend(simulate.map(|made| format!("raw={}", made.artifact)));
        let mut settings = pipeline.section("ingest");
        settings.remove("mapping");
        let ingest = workshop.stage("ingest", &settings, &arguments, time()?).await?;
        let arguments = [format!("dataset={}", ingest.artifact)];
        let settings = pipeline.section("features");
        let features = workshop.stage("features", &settings, &arguments, time()?).await?;
        Ok(Self { simulate, ingest, features })
    }
}

/// What peers may see of a set's features.
pub async fn exchange(
    workshop: &Workshop,
    set: Set,
    pipeline: &Pipeline,
    features: Digest,
) -> anyhow::Result<Made> {
    let settings: Table = pipeline.models[0].settings.clone();
    let evaluate: evaluator::Config = pipeline.section("evaluate").try_into()?;
    let order = exchange::Order {
        set: set.name.to_owned(),
        trainer: settings.try_into()?,
        fit_products: evaluate.fit_products,
    };
    let mut order = Order::new(order);
    order.inputs.insert("features".to_owned(), features);
    let code = exchange_code()?;
    let make = |order: &exchange::Order, folders: &artifacts::Folders, output: &Path| {
        exchange::write(order, &folders["features"], output)
    };
    workshop.publish(("exchange", &code), order, make).await
}

/// The version of what decides an exchange: how windows are cut, rows chosen and tables written.
fn exchange_code() -> anyhow::Result<Digest> {
    let root = workspace_root();
    let mut files = vec![root.join("Cargo.lock"), root.join("tests/src/bench/exchange.rs")];
    files.extend(files_below(&root.join("tests/src/bench/exchange"), &[".rs"])?);
    for name in ["lifecycle", "panel", "tables", "trainer", "evaluator"] {
        files.extend(files_below(&root.join("crates").join(name).join("src"), &[".rs"])?);
    }
    code_of(&files)
}
