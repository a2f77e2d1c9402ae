//! `lifecast.v1.Predictor`: tables of forecasts as runs, and live answers.
//!
//! A live answer is the batch stage's own: the same windows, the same `model::forecast`.

use std::sync::Arc;

use lifecycle::{Day, Digest, Forecast, Frequency, Period, Series};
use model::Model;
use panel::{History, Panel, Plan, Statics};
use service::{BlockingPool, Cache, Stage, error_chain, status, status_of, status_of_store};
use tonic::{Code, Request, Response, Status};
use wire::v1::predictor_server::{Predictor as Service, PredictorServer};
use wire::{
    ForecastQuery, HistoryQuery, InlineHistory, InputsQuery, ServedForecast, ServedInputs,
    invalid_argument, read_start, v1,
};

use crate::alone::Alone;
use crate::{Error, Inputs, LoadedPanel, Predictor, run};

/// Models, and panels, that are kept in memory.
const N_KEPT_MAX: usize = 4;

/// The service, for a server that decodes messages of at most `max_message_size` bytes and answers
/// on `n_threads` threads.
pub fn server(
    stage: Stage,
    max_message_size: usize,
    n_threads: usize,
) -> PredictorServer<impl Service> {
    let server = Server {
        stage,
        panels: Cache::new(N_KEPT_MAX),
        models: Cache::new(N_KEPT_MAX),
        pool: BlockingPool::new(n_threads),
    };
    PredictorServer::new(server).max_decoding_message_size(max_message_size)
}

struct Server {
    stage: Stage,
    panels: Cache<Digest, Arc<LoadedPanel>>,
    models: Cache<Digest, Arc<Model>>,
    pool: BlockingPool,
}

#[tonic::async_trait]
impl Service for Server {
    async fn start_prediction(
        &self,
        request: Request<v1::StartPredictionRequest>,
    ) -> Result<Response<v1::StartPredictionResponse>, Status> {
        let start = read_start(request.into_inner()).map_err(invalid_argument)?;
        let run = self.stage.start(
            start,
            (Inputs::NEEDED, &[]),
            Error::kind,
            |config, inputs, output, progress| {
                run(config, &Inputs::named(inputs), output, progress)
            },
        )?;
        Ok(Response::new(v1::StartPredictionResponse { run: Some(run.into()) }))
    }

    async fn predict(
        &self,
        request: Request<v1::PredictRequest>,
    ) -> Result<Response<v1::PredictResponse>, Status> {
        let query = ForecastQuery::try_from(request.into_inner()).map_err(invalid_argument)?;
        let ForecastQuery { model, features, series, origin } = query;
        let (loaded, panel) = tokio::try_join!(self.model(model), self.panel(features))?;
        let predictor = Predictor::new(&loaded, panel).map_err(|error| status_of_live(&error))?;
        let forecasts = self
            .pool
            .run(move || {
                let panel = predictor.panel();
                let inputs = series.iter().map(|series| Known::of(panel, series, origin));
                let inputs: Vec<Known<'_>> = inputs.collect::<Result<_, Status>>()?;
                let windows = inputs.iter().flat_map(|known| {
                    let Known { history, origin } = *known;
                    predictor.windows(history, &[origin])
                });
                let forecasts = model::forecast(predictor.model(), &windows.collect::<Vec<_>>());
                let serve = |(known, forecast): (&Known<'_>, Forecast)| ServedForecast {
                    forecast,
                    frequency: predictor.meta().frequency,
                    model,
                    features: Some(features),
                    inputs: known.inputs().inputs_digest(&Plan::default()),
                };
                Ok::<Vec<ServedForecast>, Status>(inputs.iter().zip(forecasts).map(serve).collect())
            })
            .await??;
        Ok(Response::new(forecasts.into()))
    }

    async fn forecast_history(
        &self,
        request: Request<v1::ForecastHistoryRequest>,
    ) -> Result<Response<v1::ForecastHistoryResponse>, Status> {
        let query = HistoryQuery::try_from(request.into_inner()).map_err(invalid_argument)?;
        let HistoryQuery { model: model_digest, histories } = query;
        let model = self.model(model_digest).await?;
        let forecasts = self
            .pool
            .run(move || {
                let serve = |history: InlineHistory| {
                    let alone = Alone::from(history);
                    let forecast =
                        alone.forecast(&model).map_err(|error| status_of_live(&error))?;
                    Ok(ServedForecast {
                        forecast,
                        frequency: alone.frequency,
                        model: model_digest,
                        features: None,
                        inputs: alone.history.inputs_digest(&alone.plan),
                    })
                };
                histories.into_iter().map(serve).collect::<Result<Vec<_>, Status>>()
            })
            .await??;
        Ok(Response::new(forecasts.into()))
    }

    async fn get_inputs(
        &self,
        request: Request<v1::GetInputsRequest>,
    ) -> Result<Response<v1::GetInputsResponse>, Status> {
        let query = InputsQuery::try_from(request.into_inner()).map_err(invalid_argument)?;
        let InputsQuery { features, series, origin } = query;
        let panel = self.panel(features).await?;
        let known = Known::of(&panel, &series, origin)?.inputs();
        let digest = known.inputs_digest(&Plan::default());
        let Panel { frequency, units_per_one, .. } = *panel.panel();
        let history = inline(known, frequency, units_per_one);
        Ok(Response::new(ServedInputs { history, digest }.into()))
    }
}

impl Server {
    async fn model(&self, digest: Digest) -> Result<Arc<Model>, Status> {
        let load = async {
            let place = self.stage.place();
            let folder = place.fetch(&digest).await.map_err(|error| status_of_store(&error))?;
            let model = self.pool.run(move || Model::load(&folder)).await?;
            model.map(Arc::new).map_err(|error| status_of_live(&Error::Model(error)))
        };
        self.models.get(&digest, load).await
    }

    async fn panel(&self, digest: Digest) -> Result<Arc<LoadedPanel>, Status> {
        let load = async {
            let place = self.stage.place();
            let folder = place.fetch(&digest).await.map_err(|error| status_of_store(&error))?;
            let panel = self.pool.run(move || LoadedPanel::open(&folder)).await?;
            panel.map(Arc::new).map_err(|error| status_of_live(&error))
        };
        self.panels.get(&digest, load).await
    }
}

/// A series of a panel at an origin where it has a history.
#[derive(Debug, Clone, Copy)]
struct Known<'a> {
    history: &'a History,
    origin: Period,
}

impl<'a> Known<'a> {
    fn of(panel: &'a LoadedPanel, series: &Series, day: Option<Day>) -> Result<Self, Status> {
        let history = panel.history(series).map_err(|error| status_of_live(&error))?;
        let origin = panel.panel().origin(day);
        if history.start > origin {
            let message = format!("series `{series}` has no history at the origin");
            return Err(status(Code::FailedPrecondition, &message, "NO_HISTORY"));
        }
        Ok(Self { history, origin })
    }

    /// What is known of the series at the origin.
    fn inputs(&self) -> History {
        self.history.known_at(self.origin).expect("the history has begun")
    }
}

/// The status of an error that a live call met.
fn status_of_live(error: &Error) -> Status {
    let message = error_chain(error);
    match error {
        Error::UnknownSeries(_) => status(Code::NotFound, &message, "SERIES_NOT_FOUND"),
        _ => status_of(error.kind(), &message, "FORECAST"),
    }
}

impl From<InlineHistory> for Alone {
    fn from(inline: InlineHistory) -> Self {
        let InlineHistory {
            series,
            frequency,
            start,
            units,
            in_stock,
            price,
            promotion,
            orders,
            returns,
            views,
            carts,
            planned_price,
            planned_promotion,
            category,
            brand,
            title,
            launch,
            end,
            units_per_one,
        } = inline;
        let statics = Statics { category, brand, title, launch, end };
        let channels = [units, in_stock, price, promotion, orders, returns, views, carts];
        let history = History {
            series,
            statics,
            start,
            channels,
            corrections: Vec::new(),
            given_stage: Vec::new(),
        };
        let plan = Plan { prices: planned_price, promotions: planned_promotion };
        Self { frequency, history, plan, units_per_one }
    }
}

/// A history as a message carries it.
fn inline(history: History, frequency: Frequency, units_per_one: f64) -> InlineHistory {
    let History { series, statics, start, channels, corrections: _, given_stage: _ } = history;
    let Statics { category, brand, title, launch, end } = statics;
    let [units, in_stock, price, promotion, orders, returns, views, carts] = channels;
    InlineHistory {
        series,
        frequency,
        start,
        units,
        in_stock,
        price,
        promotion,
        orders,
        returns,
        views,
        carts,
        planned_price: Vec::new(),
        planned_promotion: Vec::new(),
        category,
        brand,
        title,
        launch,
        end,
        units_per_one,
    }
}
