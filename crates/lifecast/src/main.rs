//! The command line: every stage as a batch command and as a server, and the pipeline runner.

mod attribute;
mod batch;
mod clock;
mod customer_key;
mod doctor;
mod failure;
mod flags;
mod get;
mod keeper;
mod pipeline;
mod predict;
mod remote;
mod runner;
mod search;
mod serve;
mod simulate;
mod stages;
mod table;
mod terminal;
mod toml_file;
mod train;
mod worker;
mod workers;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use service::LogFlags;

use crate::attribute::AttributeFlags;
use crate::batch::{Batch, BatchFlags, IngestFlags};
use crate::doctor::DoctorFlags;
use crate::failure::Failure;
use crate::flags::{PlaceFlags, UrlFlags};
use crate::get::GetFlags;
use crate::pipeline::Pipeline;
use crate::predict::PredictFlags;
use crate::runner::Place;
use crate::serve::ServeFlags;
use crate::simulate::{SimulateFlags, Simulated};
use crate::train::{TrainFlags, Trained};
use crate::worker::WorkerFlags;
use crate::workers::WorkersFlags;

/// Twenty per cent faster training than with the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

include!(concat!(env!("OUT_DIR"), "/code_versions.rs"));

/// Where every product stands in its life, where it is heading, how much it will sell, and why.
#[derive(Debug, Parser)]
#[command(name = "lifecast", version)]
struct Flags {
    #[command(subcommand)]
    command: Command,
    /// Results as JSON on stdout
    #[arg(long, global = true)]
    json: bool,
    /// No progress
    #[arg(long, global = true)]
    quiet: bool,
    #[command(flatten)]
    log: LogFlags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every stage, from raw files to the report; what the store has already is not made again
    Run(RunFlags),
    /// Simulate a marketplace with known truth, or lives of random mechanism (`--lives`)
    Simulate(SimulateFlags),
    /// Turn raw files into a clean data set
    Ingest(IngestFlags),
    /// Turn a data set (`dataset`) into panels, labels and splits
    Features(BatchFlags),
    /// Train a model on `features`, from scratch or from another model, or search for settings
    Train(TrainFlags),
    /// Be one of the workers that train a model on `features` together, on this host or others
    Worker(WorkerFlags),
    /// Forecast `features` with a `model`, or raw files with the built-in one
    Predict(PredictFlags),
    /// Score `forecasts/NAME` on `features`, with the simulator's `truth` where there is one
    Evaluate(BatchFlags),
    /// Explain the `forecasts` of a `model` on `features`
    Explain(BatchFlags),
    /// Explain a row of numbers to any model behind the Open Inference Protocol
    Attribute(AttributeFlags),
    /// Plan replenishment from `forecasts`
    Plan(BatchFlags),
    /// Write the report of `dataset`, `features`, `forecasts`, `scores`, `explanations`, `plans`
    Report(BatchFlags),
    /// Serve stages over gRPC
    Serve(ServeFlags),
    /// Ask servers for forecasts, explanations and plans
    Get(GetFlags),
    /// Say what this machine has and what is wrong with a configuration
    Doctor(DoctorFlags),
}

/// What is run, where.
#[derive(Debug, clap::Args)]
struct RunFlags {
    /// The pipeline; without one every stage runs with its defaults
    pipeline: Option<PathBuf>,
    /// Mapping of the raw files, in place of the pipeline's
    #[arg(long, value_name = "FILE.toml")]
    data: Option<PathBuf>,
    #[command(flatten)]
    place: PlaceFlags,
    #[command(flatten)]
    urls: UrlFlags,
    #[command(flatten)]
    workers: WorkersFlags,
    /// Copy the report here
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let default = if matches!(flags.command, Command::Serve(_)) { "info" } else { "warn" };
    if let Err(error) = service::logging::start(&flags.log, default) {
        return fail(&Failure::usage(error.into()));
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Failure::internal(error.into())),
    };
    let result = runtime.block_on(act(flags));
    // Work that does not hear that it is cancelled must not keep the process.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

async fn act(flags: Flags) -> Result<(), Failure> {
    let Flags { command, json, quiet, log: _ } = flags;
    let batch = async |batch, flags| {
        let outcome = batch::run(batch, flags, quiet).await?;
        answer_if(json, &outcome)
    };
    match command {
        Command::Run(flags) => run(flags, quiet, json).await,
        Command::Simulate(flags) => match simulate::simulate(flags, quiet).await? {
            Simulated::Marketplace(outcome) => answer_if(json, &outcome),
            Simulated::Lives(summary) if json => answer(&summary),
            Simulated::Lives(summary) => {
                say(&simulate::text(&summary));
                Ok(())
            }
        },
        Command::Ingest(flags) => answer_if(json, &batch::ingest(flags, quiet).await?),
        Command::Features(flags) => batch(Batch::Features, flags).await,
        Command::Train(flags) => match train::train(flags, quiet).await? {
            Trained::Settings(found) if !json => print(&found.text()),
            Trained::Suggestions(suggested) if !json => print(&train::csv(&suggested)),
            trained => answer_if(json, &trained),
        },
        Command::Worker(flags) if flags.job_from_stdin => worker_from_stdin(flags).await,
        Command::Worker(flags) => answer_if(json, &worker::work(flags, quiet).await?),
        Command::Predict(flags) => answer_if(json, &predict::predict(flags, quiet).await?),
        Command::Evaluate(flags) => batch(Batch::Evaluate, flags).await,
        Command::Explain(flags) => batch(Batch::Explain, flags).await,
        Command::Attribute(flags) => {
            let attributed = attribute::attribute(flags).await?;
            if json { answer(&attributed) } else { print(&attributed.text()) }
        }
        Command::Plan(flags) => batch(Batch::Plan, flags).await,
        Command::Report(flags) => batch(Batch::Report, flags).await,
        Command::Serve(flags) => serve::serve(flags, quiet, json).await,
        Command::Get(flags) => {
            let (text, value) = get::get(flags).await?;
            if json { answer(&value) } else { print(&text) }
        }
        Command::Doctor(flags) => {
            let findings = doctor::examine(&flags).await;
            let said = if json { answer(&findings) } else { print(&findings.text()) };
            said.and_then(|()| findings.verdict())
        }
    }
}

async fn worker_from_stdin(flags: WorkerFlags) -> Result<(), Failure> {
    flags.on_own_device()?.batch.place.open_device()?;
    let work = tokio::task::spawn_blocking(workers::work_from_stdin);
    work.await.map_err(|error| Failure::internal(error.into()))?
}

async fn run(flags: RunFlags, is_quiet: bool, is_json: bool) -> Result<(), Failure> {
    let RunFlags { pipeline, data, place: folders, urls, workers, report } = flags;
    let pipeline = match pipeline {
        Some(path) => Pipeline::read(&path).map_err(Failure::usage)?,
        None => Pipeline::default(),
    };
    let place = Place { folders, urls, workers, data, report, is_quiet };
    let outcome = runner::run(&pipeline, &place).await?;
    say(&table::headline(&outcome.scores));
    if let Some(label) = &outcome.label {
        say(label);
    }
    say(&format!(
        "{:.1} s, peak memory {:.2} GiB, report: {}",
        outcome.seconds,
        outcome.peak_memory_bytes as f64 / f64::from(1 << 30),
        outcome.report.display()
    ));
    answer_if(is_json, &outcome)
}

/// Text for people, on stderr.
fn say(text: &str) {
    // A closed stderr is no reason to stop working.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A result for people, on stdout.
fn print(text: &str) -> Result<(), Failure> {
    let written = write!(std::io::stdout(), "{text}");
    written.map_err(|error| Failure::internal(error.into()))
}

/// A result for programs: one line of JSON on stdout.
fn answer(value: &impl serde::Serialize) -> Result<(), Failure> {
    let line = serde_json::to_string(value).map_err(|error| Failure::internal(error.into()))?;
    print(&(line + "\n"))
}

fn answer_if(is_wanted: bool, value: &impl serde::Serialize) -> Result<(), Failure> {
    if is_wanted { answer(value) } else { Ok(()) }
}

fn fail(failure: &Failure) -> ExitCode {
    say(&format!("error: {failure}"));
    ExitCode::from(failure.exit_code())
}
