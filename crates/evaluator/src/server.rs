//! `lifecast.v1.Evaluator`: scores as runs, and the tables that were published.

use std::path::Path;

use lifecycle::Score;
use service::{BlockingPool, Stage, error_chain, status, status_of_store};
use tonic::{Code, Request, Response, Status};
use wire::v1::evaluator_server::{Evaluator, EvaluatorServer};
use wire::{ScoresQuery, invalid_argument, read_start, v1};

use crate::{Error, Inputs, run};

/// The service, for a server that decodes messages of at most `max_message_size` bytes and reads
/// tables on `n_threads` threads.
pub fn server(
    stage: Stage,
    max_message_size: usize,
    n_threads: usize,
) -> EvaluatorServer<impl Evaluator> {
    let server = Server { stage, pool: BlockingPool::new(n_threads) };
    EvaluatorServer::new(server).max_decoding_message_size(max_message_size)
}

struct Server {
    stage: Stage,
    pool: BlockingPool,
}

#[tonic::async_trait]
impl Evaluator for Server {
    async fn start_evaluation(
        &self,
        request: Request<v1::StartEvaluationRequest>,
    ) -> Result<Response<v1::StartEvaluationResponse>, Status> {
        let start = read_start(request.into_inner()).map_err(invalid_argument)?;
        let run = self.stage.start(
            start,
            (Inputs::NEEDED, Inputs::OPTIONAL),
            Error::kind,
            |config, inputs, output, progress| {
                run(config, &Inputs::named(inputs), output, progress)
            },
        )?;
        Ok(Response::new(v1::StartEvaluationResponse { run: Some(run.into()) }))
    }

    async fn list_scores(
        &self,
        request: Request<v1::ListScoresRequest>,
    ) -> Result<Response<v1::ListScoresResponse>, Status> {
        let query = ScoresQuery::try_from(request.into_inner()).map_err(invalid_argument)?;
        let fetched = self.stage.place().fetch(&query.scores).await;
        let folder = fetched.map_err(|error| status_of_store(&error))?;
        let scores = self.pool.run(move || scores(&folder)).await??;
        Ok(Response::new(scores.into()))
    }
}

fn scores(folder: &Path) -> Result<Vec<Score>, Status> {
    let path = folder.join("scores.parquet");
    let refused = |message: &str| status(Code::FailedPrecondition, message, "NOT_SCORES");
    if !path.exists() {
        return Err(refused("the artifact is not one of scores: it has no scores.parquet"));
    }
    tables::read(&path).map_err(|error| refused(&error_chain(&error)))
}
