//! `lifecast.v1.Explainer`: tables of explanations as runs, and live ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use lifecycle::{Digest, Invalid, Series};
use model::Model;
use panel::{CategoryUnits, Panel, PanelMeta, Plan, category_units};
use service::{BlockingPool, Cache, Stage, error_chain, status, status_of, status_of_store};
use tables::FeaturesDir;
use tonic::{Code, Request, Response, Status};
use wire::v1::explainer_server::{Explainer, ExplainerServer};
use wire::{ExplainQuery, ExplainedOutput, invalid_argument, read_start, v1};

use crate::background::Background;
use crate::explained::InProcess;
use crate::players::Cut;
use crate::{Config, Error, Inputs, explain, run};

/// Pairs of model and features that are kept in memory.
const N_KEPT_MAX: usize = 4;

/// The service, for a server that decodes messages of at most `max_message_size` bytes and explains
/// on `n_threads` threads.
pub fn server(
    stage: Stage,
    max_message_size: usize,
    n_threads: usize,
) -> ExplainerServer<impl Explainer> {
    let (known, pool) = (Cache::new(N_KEPT_MAX), BlockingPool::new(n_threads));
    ExplainerServer::new(Server { stage, known, pool }).max_decoding_message_size(max_message_size)
}

struct Server {
    stage: Stage,
    /// By model and features.
    known: Cache<(Digest, Digest), Arc<Known>>,
    pool: BlockingPool,
}

/// A model with the panel that it forecasts.
struct Known {
    model: Arc<Model>,
    panel: Panel,
    meta: PanelMeta,
    categories: BTreeMap<String, CategoryUnits>,
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
        let query = ExplainQuery::try_from(request.into_inner()).map_err(invalid_argument)?;
        let known = self.known(query.model, query.features).await?;
        let explanation = self.pool.run(move || known.explanation(query)).await??;
        Ok(Response::new(v1::ExplainResponse { explanation: Some(explanation.into()) }))
    }
}

impl Server {
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

impl Known {
    fn new(model: Model, features: &FeaturesDir) -> Result<Self, Error> {
        let settings = features.meta().settings;
        let model = Arc::new(model).on(features.fitted(), settings)?;
        let panel = features.panel()?;
        let meta = panel.meta(model.settings(settings));
        let categories = category_units(&panel);
        Ok(Self { model, panel, meta, categories })
    }

    fn explanation(&self, query: ExplainQuery) -> Result<wire::Explanation, Status> {
        let ExplainQuery { model, features, series, origin, outputs, evaluations_max, seed } =
            query;
        let Panel { frequency, ref histories, .. } = self.panel;
        let history = self.panel.history(&series).ok_or_else(|| not_found(&series))?;
        let origin = self.panel.origin(origin);
        let inputs = history.known_at(origin).ok_or_else(|| no_history(&series))?;
        let defaults = Config::default();
        let config = Config {
            seed: if seed == 0 { defaults.seed } else { seed },
            evaluations_max: evaluations_max.map(|most| most as usize),
            ..defaults
        };
        let explained = InProcess {
            model: &self.model,
            meta: &self.meta,
            categories: &self.categories,
            fitted: self.model.fitted(),
        };
        let background = Background::of(&config, histories, history, origin)
            .ok_or_else(|| status_of_live(&Error::NothingToExplain))?;
        let cut = Cut::new(frequency, origin);
        let explanation = explain(&config, &explained, history, &background, cut)
            .map_err(|error| status_of_live(&error))?;
        Ok(wire::Explanation {
            series,
            frequency,
            origin,
            outputs: chosen(&explanation, outputs)?,
            players: explanation.players,
            model,
            features: Some(features),
            inputs: inputs.inputs_digest(&Plan::default()),
            n_evaluations: explanation.n_evaluations as u32,
        })
    }
}

/// The outputs that were asked for, in the order of the request; all where none was.
fn chosen(
    explanation: &crate::Explanation,
    wanted: Vec<String>,
) -> Result<Vec<ExplainedOutput>, Status> {
    let names = &explanation.outputs;
    let wanted = if wanted.is_empty() { names.clone() } else { wanted };
    let explained = wanted.into_iter().enumerate().map(|(index, output)| {
        let place = names.iter().position(|name| *name == output).ok_or_else(|| {
            let reason = format!("is not one of `{}`", names.join("`, `"));
            invalid_argument(Invalid::new(format!("outputs[{index}]"), reason))
        })?;
        let attribution = explanation.attributions[place].clone();
        Ok(ExplainedOutput { output, attribution, served: explanation.served[place] })
    });
    explained.collect()
}

fn not_found(series: &Series) -> Status {
    let message = format!("series `{series}` is not in the panel");
    status(Code::NotFound, &message, "SERIES_NOT_FOUND")
}

fn no_history(series: &Series) -> Status {
    let message = format!("series `{series}` has no history at the origin");
    status(Code::FailedPrecondition, &message, "NO_HISTORY")
}

fn status_of_live(error: &Error) -> Status {
    status_of(error.kind(), &error_chain(error), "EXPLANATION")
}
