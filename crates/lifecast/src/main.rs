//! The command line: every stage as a batch command and as a server, and the pipeline runner.

mod clock;
mod customer_key;
mod failure;
mod memory;
mod pipeline;
mod runner;
mod table;
mod terminal;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;
use crate::pipeline::Pipeline;
use crate::runner::Place;

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
    /// Results as JSON on stdout.
    #[arg(long, global = true)]
    json: bool,
    /// No progress.
    #[arg(long, global = true)]
    quiet: bool,
    /// Log filter, such as `info` or `trainer=debug`.
    #[arg(long, global = true, env = "LIFECAST_LOG", default_value = "warn")]
    log: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every stage, from raw files to the report; what the store has already is not made again.
    Run {
        /// The pipeline; without one every stage runs with its defaults.
        pipeline: Option<PathBuf>,
        /// Mapping of the raw files, in place of the pipeline's.
        #[arg(long)]
        data: Option<PathBuf>,
        #[command(flatten)]
        place: PlaceFlags,
        /// Copy the report here.
        #[arg(long)]
        report: Option<PathBuf>,
    },
}

/// Where artifacts and unfinished work are.
#[derive(Debug, clap::Args)]
struct PlaceFlags {
    /// Object store of artifacts: a folder, `memory://` or `s3://bucket/prefix`.
    #[arg(long, env = "LIFECAST_STORE", default_value = "lifecast-store")]
    store: String,
    /// Folder for fetched artifacts, checkpoints and unfinished work.
    #[arg(long, env = "LIFECAST_WORK", default_value = "lifecast-work")]
    work: PathBuf,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    start_log(&flags.log);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Failure::internal(error.into())),
    };
    match runtime.block_on(act(flags)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

async fn act(flags: Flags) -> Result<(), Failure> {
    match flags.command {
        Command::Run { pipeline, data, place, report } => {
            let pipeline = match pipeline {
                Some(path) => Pipeline::read(&path).map_err(Failure::usage)?,
                None => Pipeline::default(),
            };
            let is_quiet = flags.quiet;
            let PlaceFlags { store, work } = place;
            let place = Place { store, work, data, report, is_quiet };
            let outcome = runner::run(&pipeline, &place).await?;
            say(&table::headline(&outcome.scores));
            say(&format!(
                "{:.1} s, peak memory {:.2} GiB, report: {}",
                outcome.seconds,
                outcome.peak_memory_bytes as f64 / f64::from(1 << 30),
                outcome.report.display()
            ));
            if flags.json {
                answer(&outcome)?;
            }
            Ok(())
        }
    }
}

/// Text for people, on stderr.
fn say(text: &str) {
    // A closed stderr is no reason to stop working.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A result for programs: one line of JSON on stdout.
fn answer(value: &impl serde::Serialize) -> Result<(), Failure> {
    let line = serde_json::to_string(value).map_err(|error| Failure::internal(error.into()))?;
    let written = writeln!(std::io::stdout(), "{line}");
    written.map_err(|error| Failure::internal(error.into()))
}

fn fail(failure: &Failure) -> ExitCode {
    say(&format!("error: {failure}"));
    ExitCode::from(failure.exit_code())
}

fn start_log(filter: &str) {
    let filter = tracing_subscriber::EnvFilter::try_new(filter).unwrap_or_default();
    let _ =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

/// The digest of a stage's sources, from the build script.
fn code_version(stage: &str) -> &'static str {
    let known = CODE_VERSIONS.iter().find(|(name, _)| *name == stage);
    known.map_or("", |(_, version)| version)
}

/// What besides code, configuration and inputs can change the bytes of an artifact.
fn execution() -> BTreeMap<String, String> {
    BTreeMap::from([
        ("device".to_owned(), "cpu".to_owned()),
        ("target".to_owned(), TARGET.to_owned()),
        ("world_size".to_owned(), "1".to_owned()),
    ])
}
