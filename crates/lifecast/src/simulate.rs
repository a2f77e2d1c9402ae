//! `lifecast simulate`: a marketplace into the store, or the lives that the built-in model is fitted to
//! into a folder.

use std::fmt::Write;
use std::path::PathBuf;

use lifecycle::{Frequency, Stage, Turn};
use simulator::lives::{Config, Quantiles, Summary};

use crate::batch::{self, Batch, BatchFlags};
use crate::failure::Failure;
use crate::stages::StageOutcome;
use crate::terminal::Bar;

/// What is simulated.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SimulateFlags {
    #[command(flatten)]
    batch: BatchFlags,
    #[command(flatten)]
    lives: LivesFlags,
}

/// Lives in place of a marketplace.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Lives")]
struct LivesFlags {
    /// Simulate so many lives of random mechanism and write them as a panel with their true stages,
    /// in place of a marketplace; at most 2,000,000
    #[arg(long, value_name = "N", requires = "output", conflicts_with_all = ["config", "out"])]
    lives: Option<u32>,
    /// Length of a period: `day`, `week` or `month`
    #[arg(long, requires = "lives", default_value = "week", value_parser = frequency)]
    frequency: Frequency,
    /// Seed of all randomness: the same flags give the same bytes
    #[arg(long, requires = "lives", default_value_t = 1)]
    seed: u64,
    /// New folder for `panel/`, `products/` and the `mapping.toml` that reads them
    #[arg(long, requires = "lives", value_name = "FOLDER")]
    output: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Simulated {
    /// An artifact in the store.
    Marketplace(StageOutcome),
    /// Files in a folder.
    Lives(Summary),
}

/// Simulates a marketplace, or lives where a number of them is given.
pub(crate) async fn simulate(flags: SimulateFlags, is_quiet: bool) -> Result<Simulated, Failure> {
    let SimulateFlags { batch, lives: LivesFlags { lives, frequency, seed, output } } = flags;
    let (Some(lives), Some(output)) = (lives, output) else {
        return Ok(Simulated::Marketplace(batch::run(Batch::Simulate, batch, is_quiet).await?));
    };
    let config = Config { lives, frequency, seed };
    let bar = Bar::new("simulate", is_quiet);
    let watched = bar.clone();
    let work = move || simulator::lives::run(&config, &output, &watched);
    let done = tokio::task::spawn_blocking(work).await;
    bar.finish();
    let summary = done.map_err(|error| Failure::internal(error.into()))?;
    Ok(Simulated::Lives(summary.map_err(|error| Failure::from(error).of_stage("simulate"))?))
}

/// The summary for people.
pub(crate) fn text(summary: &Summary) -> String {
    let quantiles = |of: Quantiles| {
        let Quantiles { p05, p25, p50, p75, p95 } = of;
        format!("{p05:.2}  {p25:.2}  {p50:.2}  {p75:.2}  {p95:.2}")
    };
    let mut text = format!(
        "{} lives of {} shops, {} periods from {}, {} rows in {} files\n",
        summary.n_lives,
        summary.n_shops,
        summary.n_periods,
        summary.first_day,
        summary.n_rows,
        summary.n_shards
    );
    let rows = [
        ("zeros by life", quantiles(summary.zeros_by_life)),
        ("units a week", quantiles(summary.weekly_units)),
    ];
    let _ = writeln!(text, "{:>16}  quantiles .05 .25 .50 .75 .95", "");
    for (name, quantiles) in rows {
        let _ = writeln!(text, "{name:>16}  {quantiles}");
    }
    let share = |name: &str, share: f64| format!("{name} {share:.3}");
    let stages = Stage::ALL.map(|stage| share(stage.name(), summary.stages[stage.name()]));
    let _ = writeln!(text, "{:>16}  {}", "stages", stages.join(", "));
    let others = [share("zero", summary.zeros), share("unknown", summary.missing)];
    let _ = writeln!(text, "{:>16}  {}", "rows", others.join(", "));
    for turns in &summary.turns {
        let rates = Turn::ALL.map(|turn| share(turn.name(), turns.rates[turn.name()]));
        let name = format!("in {} weeks", turns.weeks);
        let _ = writeln!(text, "{name:>16}  {} of {} rows", rates.join(", "), turns.rows);
    }
    text.trim_end().to_owned()
}

fn frequency(text: &str) -> Result<Frequency, String> {
    match text {
        "day" => Ok(Frequency::Day),
        "week" => Ok(Frequency::Week),
        "month" => Ok(Frequency::Month),
        other => Err(format!("`{other}` is none of day, week, month")),
    }
}
