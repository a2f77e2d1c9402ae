//! The data of a set, through the stages that every bench begins with.

use anyhow::Context;

use super::sets::{Pipeline, Set};
use super::workshop::{Made, Workshop};

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
