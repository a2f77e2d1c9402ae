//! Workspace tasks, run as `cargo xtask <task>`. See <https://github.com/matklad/cargo-xtask>.
//!
//! CI runs `cargo xtask ci` and nothing else, so what passes here passes there. Avoid adding
//! dependencies to this crate, and never one of the workspace's own: its build time is everyone's.

mod builtin;
mod cargo;
mod ci;
mod codegen;
mod cuda_sdk;
mod full;
mod gpu;
mod programs;
mod tidy;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use xshell::Shell;

#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", about = "Workspace tasks of Lifecast.")]
enum Task {
    /// Run everything that CI runs, the cheapest first.
    Ci {
        /// Also what needs tools that `deploy/ci/install.sh` installs; a missing one is a failure.
        #[arg(long)]
        full: bool,
    },
    /// Write `crates/wire/src/generated` from `proto`.
    Codegen {
        /// Change nothing; fail if the files in git are not the ones `proto` gives.
        #[arg(long)]
        check: bool,
    },
    /// Check what rustc and clippy cannot: crate dependencies, layout, module docs, file lengths.
    Tidy,
    /// Run the whole pipeline over gRPC, on simulated life cycles or your own data, up to the report.
    Demo {
        /// Mapping of your own data, instead of simulating some (see `tests/datasets`).
        #[arg(long, value_name = "FILE.toml")]
        data: Option<PathBuf>,
        /// Print, last on stdout, one JSON object with artifacts, times and scores.
        #[arg(long)]
        json: bool,
        /// Further arguments of the `demo` program.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<OsString>,
    },
    /// Compare ours with its peers on the same rows: `turns`, `accuracy` or `stages`; or `guards`.
    Bench {
        /// With ranks of MPI beside those over TCP, for `training`; needs `deploy/ci/install.sh`.
        #[arg(long)]
        mpi: bool,
        /// Arguments of the `bench` program: a name, and `--quick` or `--full`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<OsString>,
    },
    /// Make the built-in model anew from simulated lives: half an hour on two cores.
    Builtin,
    /// Hold training on a GPU against the CPU, on a Vulkan driver that is software.
    TestGpu,
    /// Fetch the LLVM that building feature `cuda` needs, and say how to build with it.
    CudaSdk,
    /// Kill and stop processes of trainings at random moments, `training --kills 50`, and cut links
    /// between hosts, `hosts --kills 10`.
    Chaos {
        /// Arguments of the `chaos` program.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<OsString>,
    },
    /// Start every stage as a process of its own and drive them from end to end.
    E2e {
        /// Arguments of the `e2e` program.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        ci::say(&format!("error: {error:#}"));
        ExitCode::FAILURE
    })
}

fn run() -> anyhow::Result<ExitCode> {
    let task = Task::parse();
    let sh = Shell::new()?; // where the caller stands
    let caller = sh.current_dir();
    sh.change_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    match task {
        Task::Ci { full } => ci::run(&sh, full)?,
        Task::Codegen { check } => codegen::run(&sh, check)?,
        Task::Tidy => tidy::run(&sh)?,
        Task::Builtin => builtin::make(&sh)?,
        Task::TestGpu => gpu::test(&sh)?,
        Task::CudaSdk => cuda_sdk::prepare(&sh)?,
        Task::Demo { data, json, rest } => {
            let mut arguments = Vec::new();
            if let Some(data) = data {
                arguments.extend(["--data".into(), caller.join(data).into_os_string()]);
            }
            if json {
                arguments.push("--json".into());
            }
            return programs::build_and_run(&sh, "demo", [arguments, rest].concat());
        }
        Task::Bench { mpi: false, rest } => return programs::build_and_run(&sh, "bench", rest),
        Task::Bench { mpi: true, rest } => {
            programs::build_with_mpi(&sh)?;
            return programs::run(&sh, "bench", rest);
        }
        Task::Chaos { rest } if rest.first().is_some_and(|subject| subject == "mpi") => {
            programs::build_with_mpi(&sh)?;
            return programs::run(&sh, "chaos", rest);
        }
        Task::Chaos { rest } => return programs::build_and_run(&sh, "chaos", rest),
        Task::E2e { rest } => return programs::build_and_run(&sh, "e2e", rest),
    }
    Ok(ExitCode::SUCCESS)
}
