//! Live calls against running servers, held against the tables that the same servers published.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
use artifacts::Store;
use lifecycle::{Day, Digest, Forecast, Frequency, Score, Series};
use serde_json::Value;
use tables::FeaturesDir;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use wire::v1::evaluator_client::EvaluatorClient;
use wire::v1::explainer_client::ExplainerClient;
use wire::v1::planner_client::PlannerClient;
use wire::v1::predictor_client::PredictorClient;
use wire::{
    Counterfactuals, CounterfactualsQuery, ExplainQuery, Explanation, ForecastQuery, HistoryQuery,
    InputsQuery, Plan, PlanItem, PlanQuery, ScoresQuery, ServedForecast, ServedInputs, v1,
};

use crate::server::Server;

/// How far two ways to the same number may be apart, relative to it.
const TOLERANCE: f64 = 1e-4;

/// What a run made, and the servers that answer about it.
#[derive(Debug)]
pub struct Served {
    model: Digest,
    features: Digest,
    scores: Digest,
    /// The table's forecasts of the latest origin.
    forecasts: Vec<Forecast>,
    frequency: Frequency,
    score_table: Vec<Score>,
    predictor: Channel,
    explainer: Channel,
    planner: Channel,
    evaluator: Channel,
}

impl Served {
    /// Reads what a run with `--json` answered, and its tables from the store.
    pub async fn new(
        outcome: &Value,
        store: &Path,
        servers: &BTreeMap<&'static str, Server>,
    ) -> anyhow::Result<Self> {
        let stages = outcome["stages"].as_array().context("no stages")?;
        let artifact = |name: &str| -> anyhow::Result<Digest> {
            let stage = stages.iter().find(|stage| stage["name"] == name);
            let digest = stage.and_then(|stage| stage["artifact"].as_str());
            Ok(digest.with_context(|| format!("{name} made nothing"))?.parse()?)
        };
        let store = Store::open(&store.display().to_string())?;
        let folder = tempfile::tempdir()?;
        let tables = store.fetch(&artifact("predict/lifecast")?, folder.path()).await?;
        let panel = store.fetch(&artifact("features")?, folder.path()).await?;
        let channel = |name: &str| servers.get(name).context("no server")?.channel();
        Ok(Self {
            model: artifact("train/lifecast")?,
            features: artifact("features")?,
            scores: artifact("evaluate")?,
            forecasts: tables::latest_forecasts(&tables)?,
            frequency: FeaturesDir::open(panel)?.meta().frequency,
            score_table: serde_json::from_value(outcome["scores"].clone())?,
            predictor: channel("predictor")?,
            explainer: channel("explainer")?,
            planner: channel("planner")?,
            evaluator: channel("evaluator")?,
        })
    }

    fn origin(&self) -> Option<Day> {
        self.forecasts.first().map(|forecast| self.frequency.last_day(forecast.origin))
    }

    fn query(&self, series: Vec<Series>) -> ForecastQuery {
        let Self { model, features, .. } = *self;
        ForecastQuery { model, features, series, origin: self.origin() }
    }

    async fn predict(&self, query: ForecastQuery) -> Result<Vec<ServedForecast>, Status> {
        let mut client = PredictorClient::new(self.predictor.clone());
        let answer = client.predict(v1::PredictRequest::from(query)).await?.into_inner();
        Vec::try_from(answer).map_err(|invalid| Status::internal(invalid.to_string()))
    }

    fn explain_query(&self, series: Series, outputs: Vec<String>) -> ExplainQuery {
        let query = ExplainQuery::new(self.model, self.features, series);
        ExplainQuery { origin: self.origin(), outputs, ..query }
    }

    async fn explain(&self, series: Series, outputs: Vec<String>) -> Result<Explanation, Status> {
        let query = self.explain_query(series, outputs);
        let mut client = ExplainerClient::new(self.explainer.clone());
        let answer = client.explain(v1::ExplainRequest::from(query)).await?.into_inner();
        let explanation = answer.explanation.ok_or_else(|| Status::internal("empty"))?;
        Explanation::try_from(explanation).map_err(|invalid| Status::internal(invalid.to_string()))
    }
}

/// Asks everything that can be asked.
pub async fn check(served: &Served) -> anyhow::Result<()> {
    let n_asked = served.forecasts.len().min(256);
    let series: Vec<Series> =
        served.forecasts[..n_asked].iter().map(|forecast| forecast.series.clone()).collect();
    let answers = served.predict(served.query(series)).await?;
    ensure!(answers.len() == n_asked, "{} answers to {n_asked} questions", answers.len());
    for (answer, row) in answers.iter().zip(&served.forecasts) {
        same_forecast(&answer.forecast, row)?;
    }
    inline_history(served, &answers[0]).await?;
    explanations(served, &answers[..answers.len().min(3)]).await?;
    plans(served, &answers[0].forecast.series).await?;
    scores(served).await?;
    refusals(served).await
}

/// A forecast of the inputs that the predictor shows is named by the same digest.
async fn inline_history(served: &Served, answer: &ServedForecast) -> anyhow::Result<()> {
    let query = InputsQuery {
        features: served.features,
        series: answer.forecast.series.clone(),
        origin: served.origin(),
    };
    let mut client = PredictorClient::new(served.predictor.clone());
    let inputs = client.get_inputs(v1::GetInputsRequest::from(query)).await?.into_inner();
    let ServedInputs { history, digest } = inputs.try_into()?;
    ensure!(digest == answer.inputs, "inputs {digest}, forecast from {}", answer.inputs);
    let query = HistoryQuery { model: served.model, histories: vec![history] };
    let answered = client.forecast_history(v1::ForecastHistoryRequest::from(query)).await?;
    let inline = Vec::<ServedForecast>::try_from(answered.into_inner())?;
    let inline = inline.first().context("no forecast of the history")?;
    ensure!(inline.inputs == digest && inline.features.is_none(), "inputs are {}", inline.inputs);
    let units = inline.forecast.units.as_ref().context("no units")?;
    Ok(units.validate()?)
}

/// Base and values add up to what the predictor answers.
async fn explanations(served: &Served, answers: &[ServedForecast]) -> anyhow::Result<()> {
    for answer in answers {
        let series = &answer.forecast.series;
        let explanation = served.explain(series.clone(), Vec::new()).await?;
        ensure!(explanation.inputs == answer.inputs, "{series}: other inputs were explained");
        let outputs = explainer::explained::outputs_of(&answer.forecast);
        ensure!(explanation.outputs.len() == outputs.len(), "{series}: outputs are missing");
        for (explained, served) in explanation.outputs.iter().zip(outputs) {
            let gap = explained.attribution.gap(served);
            ensure!(gap <= TOLERANCE, "{series}: {} has a gap of {gap}", explained.output);
        }
        let mut client = ExplainerClient::new(served.explainer.clone());
        let again = client.explain(v1::ExplainRequest::from(explanation.replay.clone())).await?;
        let again = again.into_inner().explanation.context("empty")?;
        ensure!(again.attributions == attributions(&explanation), "{series}: not replayed");
        let query = Some(served.explain_query(series.clone(), Vec::new()).into());
        let stream = client.stream_explanation(v1::StreamExplanationRequest { query }).await?;
        let mut stream = stream.into_inner();
        let mut last = None;
        while let Some(next) = stream.message().await? {
            last = next.explanation;
        }
        let last = last.context("an empty stream")?;
        ensure!(last.attributions == attributions(&explanation), "{series}: streamed otherwise");
        counterfactuals(served, answer).await?;
    }
    Ok(())
}

/// Counterfactuals start from the served answer, stay within their bounds, and say so where none
/// does.
async fn counterfactuals(served: &Served, answer: &ServedForecast) -> anyhow::Result<()> {
    let series = &answer.forecast.series;
    let query = CounterfactualsQuery {
        model: served.model,
        features: served.features,
        series: series.clone(),
        origin: served.origin(),
        price: Some([0.8, 1.2]),
        promotion: None,
        in_stock: None,
        sales_change: Some(0.02),
    };
    let mut client = ExplainerClient::new(served.explainer.clone());
    let request = v1::ExplainCounterfactualsRequest::from(query);
    let found = client.explain_counterfactuals(request).await?.into_inner();
    let found = Counterfactuals::try_from(found.counterfactuals.context("empty")?)?;
    ensure!(found.inputs_digest == answer.inputs, "{series}: other inputs were turned");
    let units = explainer::explained::outputs_of(&answer.forecast)[0];
    let gap = (found.before[0] - units).abs() / units.abs().max(1.0);
    ensure!(gap <= TOLERANCE, "{series}: before any change, units have a gap of {gap}");
    ensure!(!found.counterfactuals.is_empty(), "{series}: no target");
    for told in &found.counterfactuals {
        let is_any = !found.inputs.is_empty();
        let starts = told.en.starts_with(if is_any { "None within bounds" } else { "No price" });
        ensure!(starts != told.is_reached, "{series}: {}", told.en);
        for (name, value) in &told.changes {
            let input = found.inputs.iter().find(|input| input.name == *name);
            let [low, high] = input.context("an unknown input")?.bounds;
            ensure!((low..=high).contains(value), "{series}: {name} at {value}");
        }
    }
    Ok(())
}

/// An explanation's outputs as messages.
fn attributions(explanation: &Explanation) -> Vec<v1::Attribution> {
    explanation.outputs.iter().cloned().map(v1::Attribution::from).collect()
}

/// Stock at hand is not ordered again.
async fn plans(served: &Served, series: &Series) -> anyhow::Result<()> {
    let mut orders = Vec::new();
    for stock in [0.0, 1e6] {
        let item = PlanItem {
            series: series.clone(),
            lead_time: 2,
            review: 1,
            shortage_cost: 0.4,
            leftover_cost: 0.1,
            stock,
            lot_size: 1.0,
        };
        let Served { model, features, .. } = *served;
        let query = PlanQuery { model, features, origin: served.origin(), items: vec![item] };
        let mut client = PlannerClient::new(served.planner.clone());
        let answer = client.plan(v1::PlanRequest::from(query)).await?.into_inner();
        let plan = answer.plans.into_iter().next().context("no plan")?;
        orders.push(Plan::try_from(plan)?);
    }
    let [empty, full] = &orders[..] else { unreachable!("two were asked for") };
    ensure!(empty.order >= full.order && full.order == 0.0, "{} and {}", empty.order, full.order);
    ensure!((empty.service_level - 0.8).abs() < 1e-9, "service level {}", empty.service_level);
    Ok(())
}

/// The table over the wire is the one that the run answered.
async fn scores(served: &Served) -> anyhow::Result<()> {
    let mut client = EvaluatorClient::new(served.evaluator.clone());
    let query = ScoresQuery { scores: served.scores };
    let answer = client.list_scores(v1::ListScoresRequest::from(query)).await?.into_inner();
    ensure!(Vec::<Score>::try_from(answer)? == served.score_table, "another score table");
    Ok(())
}

/// Every wrong question has its own answer.
async fn refusals(served: &Served) -> anyhow::Result<()> {
    let series = || vec![served.forecasts[0].series.clone()];
    let refused = async |query: ForecastQuery| served.predict(query).await.map(drop);
    let none = refused(served.query(Vec::new())).await;
    let violations = none.as_ref().err().and_then(StatusExt::get_details_bad_request);
    let field = violations.and_then(|bad| bad.field_violations.into_iter().next());
    ensure!(field.is_some_and(|field| field.field == "series"), "no field is named");
    expect(Code::InvalidArgument, "no series", none)?;
    let stranger = refused(served.query(vec![Series::of("no such product")])).await;
    expect(Code::NotFound, "an unknown series", stranger)?;
    let nothing = Digest::of("nothing");
    let no_model = refused(ForecastQuery { model: nothing, ..served.query(series()) }).await;
    expect(Code::NotFound, "an unknown model", no_model)?;
    let swapped = refused(ForecastQuery { model: served.features, ..served.query(series()) }).await;
    expect(Code::FailedPrecondition, "features for a model", swapped)?;
    let early = ForecastQuery { origin: Some(Day(0)), ..served.query(series()) };
    expect(Code::FailedPrecondition, "an origin before all history", refused(early).await)?;
    let twice = [series(), series()].concat();
    expect(Code::InvalidArgument, "a repeated series", refused(served.query(twice)).await)?;
    let long = Series::of("x".repeat(5 << 20).as_str());
    let long = refused(served.query(vec![long])).await;
    expect(Code::OutOfRange, "a request of 5 MiB", long)?;
    let output = served.explain(series().remove(0), vec!["no such output".into()]).await;
    expect(Code::InvalidArgument, "an unknown output", output.map(drop))
}

fn expect(code: Code, of: &str, result: Result<(), Status>) -> anyhow::Result<()> {
    let status = result.err().with_context(|| format!("{of} is answered"))?;
    ensure!(status.code() == code, "{of} is answered with {:?}: {status}", status.code());
    ensure!(!status.message().is_empty(), "{of} is refused without a word");
    Ok(())
}

fn same_forecast(one: &Forecast, other: &Forecast) -> anyhow::Result<()> {
    let (series, origin) = (&one.series, one.origin);
    ensure!(*series == other.series && origin == other.origin, "{series} or its origin differs");
    let gap = numbers(one)
        .into_iter()
        .zip(numbers(other))
        .map(|(a, b)| f64::from((a - b).abs()) / f64::from(b.abs()).max(1.0))
        .fold(0.0, f64::max);
    ensure!(gap <= TOLERANCE, "{series}: the live answer is {gap} off the table's");
    Ok(())
}

/// All numbers of a forecast that do not jump where an input moves by a hair.
fn numbers(forecast: &Forecast) -> Vec<f32> {
    let mut numbers = Vec::new();
    if let Some(units) = &forecast.units {
        numbers.extend(&units.means);
    }
    for outlook in &forecast.outlooks {
        numbers.extend(outlook.turns.iter().flatten());
    }
    numbers
}
