//! A batch stage behind gRPC: from a `Start...` request to a run that publishes an artifact.

use std::error::Error;
use std::path::Path;
use std::sync::mpsc;

use artifacts::{Folders, Order, ProduceError, Produced, Workplace};
use lifecycle::{Digest, ErrorKind, Invalid, Progress};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tonic::Status;
use wire::{Failure, Outcome, Run, Start, invalid_argument};

use crate::{RunProgress, Runs, error_chain};

/// A stage's runs and its workplace. A clone is another handle on the same runs.
#[derive(Debug, Clone)]
pub struct Stage {
    runs: Runs,
    place: Workplace,
}

/// What a run is given: how to tell its progress, where it works, and how to wait for the store.
#[derive(Debug)]
pub struct Job {
    /// Hears how far the run is, and says whether it is to stop.
    pub progress: RunProgress,
    /// The stage's workplace.
    pub place: Workplace,
    runtime: Handle,
}

impl Job {
    /// Waits on the run's own thread.
    pub fn wait<T>(&self, for_it: impl Future<Output = T>) -> T {
        self.runtime.block_on(for_it)
    }
}

impl Stage {
    /// A stage that works in `place`.
    pub fn new(runs: &Runs, place: Workplace) -> Self {
        Self { runs: runs.clone(), place }
    }

    /// Where the stage works.
    pub fn place(&self) -> &Workplace {
        &self.place
    }

    /// Starts the run that a request ([`wire::read_start`]) asks for: `make` with the request's
    /// configuration on the artifacts that it names: all those `needed`, some of those `optional`,
    /// no others ([`Start::check_inputs`]).
    ///
    /// Errors are those of [`Runs::start`], and `INVALID_ARGUMENT` for a configuration that cannot
    /// be read, or inputs that are not these. Must be called on the async runtime.
    pub fn start<C, S, E>(
        &self,
        (start, request): (Start, Digest),
        (needed, optional): (&[&str], &[&str]),
        kind: fn(&E) -> ErrorKind,
        make: impl FnOnce(&C, &Folders, &Path, &dyn Progress) -> Result<S, E> + Send + 'static,
    ) -> Result<Run, Status>
    where
        C: DeserializeOwned + Serialize + Send + 'static,
        S: Serialize,
        E: Error + Send + 'static,
    {
        start.check_inputs(needed, optional).map_err(invalid_argument)?;
        let config: C = config(&start.config_toml)?;
        let Start { request_id, config_toml: _, inputs } = start;
        self.start_job(&request_id, request, move |job| {
            let order = Order { inputs, ..Order::new(config) };
            produce(&job, order, kind, make)
        })
    }

    /// Starts a run that does what `work` says.
    pub fn start_job(
        &self,
        request_id: &str,
        request: Digest,
        work: impl FnOnce(Job) -> Result<Outcome, Failure> + Send + 'static,
    ) -> Result<Run, Status> {
        let (place, runtime) = (self.place.clone(), Handle::current());
        self.runs.start(&self.place.stage, request_id, request, move |progress| {
            work(Job { progress, place, runtime })
        })
    }
}

/// Reads a stage's configuration; empty text is the default.
pub fn config<C: DeserializeOwned>(config_toml: &str) -> Result<C, Status> {
    toml::from_str(config_toml).map_err(|error| {
        invalid_argument(Invalid::new("config_toml", error.to_string().trim_end()))
    })
}

/// Produces what a run is for, and says what came of it.
pub fn produce<C, S, E>(
    job: &Job,
    order: Order<C>,
    kind: fn(&E) -> ErrorKind,
    make: impl FnOnce(&C, &Folders, &Path, &dyn Progress) -> Result<S, E> + Send + 'static,
) -> Result<Outcome, Failure>
where
    C: Serialize + Send + 'static,
    S: Serialize,
    E: Error + Send + 'static,
{
    let progress = job.progress.clone();
    let (tell, told) = mpsc::channel();
    let make = move |config: &C, inputs: &Folders, output: &Path| {
        let summary = make(config, inputs, output, &progress)?;
        let summary = serde_json::to_string(&summary).expect("a summary is plain data");
        // Who waits for it also waits for this thread.
        let _ = tell.send(summary);
        Ok(())
    };
    let produced = job.wait(job.place.produce(order, make)).map_err(|error| match error {
        ProduceError::Store(error) => failure(error.kind(), &error),
        ProduceError::Make(error) => failure(kind(&error), &error),
    })?;
    let Produced { artifact, key, cached } = produced;
    let summary_json = told.try_recv().unwrap_or_default();
    Ok(Outcome { artifact: artifact.digest, key, cached, summary_json })
}

/// An error of a stage as a run reports it.
pub fn failure(kind: ErrorKind, error: &impl Error) -> Failure {
    Failure { kind, message: error_chain(error) }
}
