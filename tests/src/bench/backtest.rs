//! How fast a rolling back-test is: all origins at once beside one origin at a time, and beside the
//! classical models of statsforecast on the same series and origins.
//!
//! Ours is `lifecast predict --origins N` with the built-in model, from features in the store to
//! Parquet, the start of the process included: units, turns and stages. The peers, in a pool of as
//! many processes as ours has threads, answer units alone, of a sample of the series.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use lifecycle::{Digest, Forecast};
use serde::{Deserialize, Serialize};
use tables::parts;
use toml::Table;

use super::budget::Effort;
use super::data::{self, Data};
use super::peers::Environment;
use super::run::say;
use super::sets::{Set, Subject};
use super::workshop::Workshop;

/// One line: ours beside another way to the same forecasts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pace {
    /// `backtest`.
    pub bench: &'static str,
    /// The set, and how many origins.
    pub case: String,
    /// `forecasts_per_second`: of a series at an origin.
    pub metric: &'static str,
    /// All origins at once.
    pub ours: f64,
    /// The other's.
    pub peer: f64,
    /// Who that is.
    pub peer_name: String,
    /// `higher`.
    pub better: &'static str,
    /// Ours over the other's.
    pub ratio: f64,
    /// Forecasts that ours made.
    pub n: usize,
    /// Forecasts that the other made.
    pub n_peer: usize,
}

/// What `back_test_pace.py` prints.
#[derive(Debug, Deserialize)]
struct Measured {
    peer: String,
    forecasts: usize,
    seconds: f64,
}

/// Origins, times that ours is measured, and series that the peers forecast.
fn plan(effort: Effort) -> (usize, usize, usize) {
    match effort {
        Effort::Quick => (8, 1, 20),
        Effort::Plain => (26, 3, 50),
        Effort::Full => (52, 5, 200),
    }
}

/// Measures one set; the environment is missing where there is no Python.
pub async fn run(
    (effort, limit): (Effort, Duration),
    (set, home): (Set, &Path),
    environment: Option<&Environment>,
) -> anyhow::Result<Vec<Pace>> {
    let workshop = Workshop::open(home.to_owned(), limit)?;
    let pipeline = set.pipeline(Subject::Accuracy, effort)?;
    let data = Data::make(&workshop, set, &pipeline).await?;
    let features = data.features.artifact;
    let settings: Table = toml::from_str("from = \"builtin\"\nsteps_max = 0")?;
    let reading = [format!("features={features}")];
    let model = workshop.stage("train", &settings, &reading, limit).await?.artifact;
    let (n_origins, n_rounds, n_series) = plan(effort);
    let measure = Measure { workshop: &workshop, features, model, limit };
    let (mut at_once, mut one_by_one) = (Vec::new(), Vec::new());
    for round in 0..n_rounds {
        at_once.push(measure.forecasts(&format!("at-once-{round}"), n_origins).await?);
        // Each is the latest: which origin it is does not change what it costs.
        one_by_one.push(measure.forecasts(&format!("one-{round}"), 1).await?);
    }
    let (ours, n) = median(at_once);
    let pace = |name: &str, (peer, n_peer): (f64, usize)| Pace {
        bench: "backtest",
        case: format!("{}, {n_origins} origins", set.name),
        metric: "forecasts_per_second",
        ours,
        peer,
        peer_name: name.to_owned(),
        better: "higher",
        ratio: ours / peer,
        n,
        n_peer,
    };
    let mut paces = vec![pace("ours, one origin at a time", median(one_by_one))];
    let Some(environment) = environment else { return Ok(paces) };
    let exchange = data::exchange(&workshop, set, &pipeline, features).await?.artifact;
    let exchange = workshop.fetched(exchange).await?;
    for measured in peers(environment, &exchange, (n_origins, n_series))? {
        let speed = measured.forecasts as f64 / measured.seconds;
        paces.push(pace(&measured.peer, (speed, measured.forecasts)));
    }
    Ok(paces)
}

/// What is measured.
struct Measure<'a> {
    workshop: &'a Workshop,
    features: Digest,
    model: Digest,
    limit: Duration,
}

impl Measure<'_> {
    /// Forecasts a second of a back-test over so many origins, and how many there were.
    async fn forecasts(&self, name: &str, n_origins: usize) -> anyhow::Result<(f64, usize)> {
        // A name that no run had: what is in the store would be found, not made.
        let name = format!("{name}-{}", std::process::id());
        let settings = format!(
            "name = \"{name}\"\ntest = false\nvalidation = false\nlatest = false\n\
             back_test = {n_origins}\nback_test_step = 1"
        );
        let reading = [format!("features={}", self.features), format!("model={}", self.model)];
        let settings: Table = toml::from_str(&settings)?;
        let made = self.workshop.stage("predict", &settings, &reading, self.limit).await?;
        ensure!(!made.cached, "the store had the forecasts of {name}");
        let folder = self.workshop.fetched(made.artifact).await?;
        let mut n = 0;
        for part in parts(&folder.join("forecasts"))? {
            n += tables::read::<Forecast>(&part)?.len();
        }
        say(&format!("{name:<24} {n:>8} forecasts {:>8.2} s", made.seconds));
        Ok((n as f64 / made.seconds, n))
    }
}

fn median(mut all: Vec<(f64, usize)>) -> (f64, usize) {
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all[all.len() / 2]
}

fn peers(
    environment: &Environment,
    exchange: &Path,
    (n_origins, n_series): (usize, usize),
) -> anyhow::Result<Vec<Measured>> {
    let mut command = std::process::Command::new(environment.interpreter());
    command.arg(crate::workspace_root().join("tests/peers/back_test_pace.py")).arg(exchange);
    command.args(["--origins", &n_origins.to_string(), "--series", &n_series.to_string()]);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    command.args(["--threads", &threads.to_string()]);
    let output = command.stderr(std::process::Stdio::inherit()).output()?;
    ensure!(output.status.success(), "back_test_pace.py: {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    text.lines()
        .map(|line| {
            serde_json::from_str(line).with_context(|| format!("back_test_pace.py: {line}"))
        })
        .collect()
}
