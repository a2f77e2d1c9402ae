//! `lifecast.v1.Explainer`: tables of explanations as runs, and live ones.

mod live;

use std::sync::Arc;

use lifecycle::{Digest, EstimateEnd};
use model::Model;
use service::{BlockingPool, Cache, Deadline, Stage, spawn, status_of_store};
use tables::FeaturesDir;
use tokio::sync::mpsc;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tracing::info;
use wire::v1::explainer_server::{Explainer, ExplainerServer};
use wire::{CounterfactualsQuery, ExplainQuery, Explanation, invalid_argument, read_start, v1};

use self::live::{Known, status_of_live};
use crate::{Error, Inputs, run};

/// Pairs of model and features that are kept in memory.
const N_KEPT_MAX: usize = 4;

/// Explanations that are kept in memory, some 10 kB each.
const EXPLANATIONS_MAX: usize = 512;

/// Estimates on the way that wait for a slow reader.
const STEPS_MAX: usize = 4;

/// The service, for a server that decodes messages of at most `max_message_size` bytes and explains
/// on `n_threads` threads.
pub fn server(
    stage: Stage,
    max_message_size: usize,
    n_threads: usize,
) -> ExplainerServer<impl Explainer> {
    let server = Server {
        stage,
        known: Cache::new(N_KEPT_MAX),
        answers: Cache::new(EXPLANATIONS_MAX),
        pool: BlockingPool::new(n_threads),
    };
    ExplainerServer::new(server).max_decoding_message_size(max_message_size)
}

struct Server {
    stage: Stage,
    /// By model and features.
    known: Cache<(Digest, Digest), Arc<Known>>,
    /// By all that decides them: model, features, product, origin, players, method, budget,
    /// tolerance, background, outputs and seed.
    answers: Cache<ExplainQuery, Explanation>,
    pool: BlockingPool,
}

/// What is not kept.
enum Unkept {
    /// An answer that a deadline cut short.
    Partial(Box<Explanation>),
    Failed(Status),
}

#[tonic::async_trait]
impl Explainer for Server {
    async fn start_explanation(
        &self,
        request: Request<v1::StartExplanationRequest>,
    ) -> Result<Response<v1::StartExplanationResponse>, Status> {
        let start = read_start(request.into_inner()).map_err(invalid_argument)?;
        let run = self.stage.start(
            start,
            (Inputs::NEEDED, &[]),
            Error::kind,
            |config, inputs, output, progress| {
                run(config, &Inputs::named(inputs), output, progress)
            },
        )?;
        Ok(Response::new(v1::StartExplanationResponse { run: Some(run.into()) }))
    }

    async fn explain(
        &self,
        request: Request<v1::ExplainRequest>,
    ) -> Result<Response<v1::ExplainResponse>, Status> {
        let deadline = Deadline::of(&request);
        let (known, query) = self.asked(request.into_inner()).await?;
        let key = query.clone();
        // Nobody waits any more where this is dropped.
        let waiting = Arc::new(());
        let work = {
            let waiting = Arc::downgrade(&waiting);
            move || {
                let is_late = watch(deadline);
                let is_over = || is_late() || waiting.strong_count() == 0;
                known.explanation(&query, &is_over, &mut |_| {})
            }
        };
        let load = async {
            let found = self.pool.run(work).await.map_err(Unkept::Failed)?;
            let found = found.map_err(Unkept::Failed)?;
            record(&found);
            let is_cut = found.end == EstimateEnd::Deadline;
            if is_cut { Err(Unkept::Partial(Box::new(found))) } else { Ok(found) }
        };
        // Whoever answers another may have more time than this client.
        let found = if deadline.is_some_and(Deadline::is_asked) {
            self.answers.get_now(&key, load).await
        } else {
            self.answers.get(&key, load).await
        };
        let explanation = match found {
            Ok(explanation) => explanation,
            Err(Unkept::Partial(explanation)) => *explanation,
            Err(Unkept::Failed(status)) => return Err(status),
        };
        drop(waiting);
        Ok(Response::new(v1::ExplainResponse { explanation: Some(explanation.into()) }))
    }

    type StreamExplanationStream = ReceiverStream<Result<v1::StreamExplanationResponse, Status>>;

    async fn stream_explanation(
        &self,
        request: Request<v1::StreamExplanationRequest>,
    ) -> Result<Response<Self::StreamExplanationStream>, Status> {
        let deadline = Deadline::of(&request);
        let (known, query) = self.asked(request.into_inner().query.unwrap_or_default()).await?;
        let (sender, receiver) = mpsc::channel(STEPS_MAX);
        let pool = self.pool.clone();
        let work = move || {
            let is_late = watch(deadline);
            let is_over = || is_late() || sender.is_closed();
            let answer = |explanation: Explanation| {
                Ok(v1::StreamExplanationResponse { explanation: Some(explanation.into()) })
            };
            let found = known.explanation(&query, &is_over, &mut |found| {
                // A reader who is slow misses this one.
                drop(sender.try_send(answer(found)));
            });
            if let Ok(found) = &found {
                record(found);
            }
            // Whoever has left needs no answer.
            drop(sender.blocking_send(found.and_then(answer)));
        };
        spawn("explanation", async move { pool.run(work).await });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn explain_counterfactuals(
        &self,
        request: Request<v1::ExplainCounterfactualsRequest>,
    ) -> Result<Response<v1::ExplainCounterfactualsResponse>, Status> {
        let query = CounterfactualsQuery::try_from(request.into_inner());
        let query = query.map_err(invalid_argument)?;
        let known = self.known(query.model, query.features).await?;
        let found = self.pool.run(move || known.counterfactuals(&query)).await??;
        let (series, n_evaluations) = (&found.series, found.n_evaluations);
        info!(%series, n_evaluations, inputs = %found.inputs_digest, "counterfactuals");
        let counterfactuals = Some(found.into());
        Ok(Response::new(v1::ExplainCounterfactualsResponse { counterfactuals }))
    }
}

impl Server {
    /// What is asked for, with all that is needed to answer.
    async fn asked(
        &self,
        request: v1::ExplainRequest,
    ) -> Result<(Arc<Known>, ExplainQuery), Status> {
        let query = ExplainQuery::try_from(request).map_err(invalid_argument)?;
        let known = self.known(query.model, query.features).await?;
        let query = known.settled(query)?;
        Ok((known, query))
    }

    async fn known(&self, model: Digest, features: Digest) -> Result<Arc<Known>, Status> {
        let load = async {
            let place = self.stage.place();
            let fetched = tokio::try_join!(place.fetch(&model), place.fetch(&features));
            let (model, features) = fetched.map_err(|error| status_of_store(&error))?;
            let load = move || {
                let features = FeaturesDir::open(features)?;
                Known::new(Model::load(&model)?, &features)
            };
            let known = self.pool.run(load).await?;
            known.map(Arc::new).map_err(|error| status_of_live(&error))
        };
        self.known.get(&(model, features), load).await
    }
}

/// Says whether it is too late; never where there is no deadline.
fn watch(deadline: Option<Deadline>) -> impl Fn() -> bool {
    let is_late = deadline.map(Deadline::watch);
    move || is_late.as_ref().is_some_and(|is_late| is_late())
}

/// The line of an explanation in the log, from which it can be asked for again.
fn record(explanation: &Explanation) {
    let Explanation {
        series, n_evaluations, relative_error, end, background, inputs, replay, ..
    } = explanation;
    info!(
        %series, n_evaluations, relative_error, ?end, %inputs, %background, ?replay, "explained"
    );
}
