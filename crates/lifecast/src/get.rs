//! `lifecast get`: a client for people, of forecasts, explanations, counterfactuals and plans.

mod counterfactuals;

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use lifecycle::{
    Day, Digest, EstimateEnd, InteractionSource, LEVELS, LocationId, OUTLOOK_WEEKS, Series, Stage,
    Turn,
};
use serde_json::{Value, json};
use tonic::Code;
use wire::v1::explainer_client::ExplainerClient;
use wire::v1::planner_client::PlannerClient;
use wire::v1::predictor_client::PredictorClient;
use wire::{
    ExplainQuery, Explanation, ForecastQuery, Plan, PlanItem, PlanQuery, ServedForecast, v1,
};

use crate::failure::Failure;
use crate::flags::UrlFlags;
use crate::remote::{ANSWER_TIMEOUT, Remote};
use crate::runner::LastRun;

/// Interactions that are shown of one output.
const INTERACTIONS_SHOWN: usize = 3;

/// What is less has no digit to show: explanations are printed with four.
const SHOWN_LEAST: f64 = 5e-5;

/// What is asked for.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct GetFlags {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// Units, turns and stages of products
    Forecast {
        #[command(flatten)]
        of: Asked,
    },
    /// Why a product is forecast as it is
    Explanation {
        #[command(flatten)]
        of: Asked,
        #[command(flatten)]
        effort: Effort,
    },
    /// What change of price, promotion or stock would turn a product's forecast
    Counterfactuals {
        #[command(flatten)]
        of: Asked,
        #[command(flatten)]
        bounds: counterfactuals::BoundsFlags,
    },
    /// How much of a product to order now
    Plan {
        #[command(flatten)]
        of: Asked,
        /// Periods from order to delivery
        #[arg(long, default_value_t = 2)]
        lead_time: u32,
        /// Periods between orders
        #[arg(long, default_value_t = 1)]
        review: u32,
        /// Cost of one unit short
        #[arg(long, default_value_t = 0.4)]
        shortage_cost: f64,
        /// Cost of one unit left over
        #[arg(long, default_value_t = 0.1)]
        leftover_cost: f64,
        /// Units at hand and on order
        #[arg(long, default_value_t = 0.0)]
        stock: f64,
        /// Units are ordered in multiples of it
        #[arg(long, default_value_t = 1.0)]
        lot_size: f64,
    },
}

/// How much an explanation may cost.
#[derive(Debug, Clone, Copy, clap::Args)]
struct Effort {
    /// Model evaluations to spend at most; 0: the explainer's choice
    #[arg(long, default_value_t = 0)]
    evaluations_max: u32,
    /// Relative error that is good enough, such as .05
    #[arg(long)]
    tolerance: Option<f64>,
    /// Milliseconds to wait: what is known by then is answered, with its error
    #[arg(long)]
    time_ms: Option<u64>,
}

impl Effort {
    /// What an answer other than OK means to the caller, where the time may have been too short.
    fn refused(self, remote: &Remote, status: &tonic::Status) -> Failure {
        let failure = remote.refused(status);
        // Who calls and who is called may both be the one who sees that the time is over.
        let is_over = matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded);
        match self.time_ms {
            Some(ms) if is_over && Duration::from_millis(ms) < ANSWER_TIMEOUT => {
                let error = anyhow::anyhow!("time over: raise `--time-ms` above {ms}");
                Failure { error, ..failure }
            }
            _ => failure,
        }
    }
}

/// Which products, by which model.
#[derive(Debug, Clone, clap::Args)]
struct Asked {
    /// Products, as their owner writes them
    #[arg(required = true)]
    products: Vec<String>,
    /// Their location, where the data has locations
    #[arg(long)]
    location: Option<String>,
    /// Last day whose data may be used, such as 2026-01-31; without it, the last of the features
    #[arg(long)]
    origin: Option<Day>,
    /// Content digest of the model; without it, that of the last run
    #[arg(long)]
    model: Option<Digest>,
    /// Content digest of the features; without it, those of the last run
    #[arg(long)]
    features: Option<Digest>,
    /// Work folder of the last run
    #[arg(long, env = "LIFECAST_WORK", default_value = "lifecast-work")]
    work: PathBuf,
    #[command(flatten)]
    urls: UrlFlags,
}

impl Asked {
    fn series(&self) -> Vec<Series> {
        let location = || self.location.as_deref().map(LocationId::from);
        let series =
            |product: &String| Series { product: product.as_str().into(), location: location() };
        self.products.iter().map(series).collect()
    }

    fn artifacts(&self) -> Result<LastRun, Failure> {
        if let (Some(model), Some(features)) = (self.model, self.features) {
            return Ok(LastRun { model, features });
        }
        let last = LastRun::read(&self.work).with_context(|| {
            let work = self.work.display();
            format!("no run is known in {work}: give --model and --features, or --work")
        });
        let last = last.map_err(Failure::usage)?;
        Ok(LastRun {
            model: self.model.unwrap_or(last.model),
            features: self.features.unwrap_or(last.features),
        })
    }

    fn remote(&self, stage: &str, flag: &str) -> Result<Remote, Failure> {
        let url = self.urls.of_stage(stage).with_context(|| {
            format!("no server is known: give --url or --{flag}-url, such as http://127.0.0.1:7700")
        });
        Remote::new(url.map_err(Failure::usage)?, &self.urls)
    }
}

/// Asks, and answers as text and as JSON.
pub(crate) async fn get(flags: GetFlags) -> Result<(String, Value), Failure> {
    match flags.what {
        What::Forecast { of } => forecast(&of).await,
        What::Explanation { of, effort } => explanation(&of, effort).await,
        What::Counterfactuals { of, bounds } => {
            counterfactuals::counterfactuals(&of, &bounds).await
        }
        What::Plan { of, lead_time, review, shortage_cost, leftover_cost, stock, lot_size } => {
            let item = |series| PlanItem {
                series,
                lead_time,
                review,
                shortage_cost,
                leftover_cost,
                stock,
                lot_size,
            };
            plan(&of, of.series().into_iter().map(item).collect()).await
        }
    }
}

async fn forecast(of: &Asked) -> Result<(String, Value), Failure> {
    let remote = of.remote("predict", "predictor")?;
    let LastRun { model, features } = of.artifacts()?;
    let query = ForecastQuery { model, features, series: of.series(), origin: of.origin };
    let mut client = PredictorClient::new(remote.channel());
    let answer = client.predict(v1::PredictRequest::from(query)).await;
    let answer = answer.map_err(|status| remote.refused(&status))?.into_inner();
    let forecasts: Vec<ServedForecast> =
        answer.try_into().map_err(|invalid| remote.malformed(&invalid))?;
    let text = forecasts.iter().map(forecast_text).collect::<Vec<_>>().join("\n");
    Ok((text, forecasts.iter().map(forecast_json).collect()))
}

fn forecast_text(served: &ServedForecast) -> String {
    let ServedForecast { forecast, frequency, .. } = served;
    let mut text = format!("{} from {}\n", forecast.series, frequency.last_day(forecast.origin));
    if let Some(units) = &forecast.units {
        let at = |level: f64| LEVELS.iter().position(|known| *known == level).unwrap_or_default();
        let _ = writeln!(
            text,
            "{:>12} {:>9} {:>9} {:>9} {:>9}",
            "period", "mean", "10 %", "50 %", "90 %"
        );
        for step in 0..units.horizon() {
            let day = frequency.first_day(forecast.origin.plus(step as i32 + 1));
            let _ = write!(text, "{:>12} {:>9.2}", day.to_string(), units.means[step]);
            for level in [0.1, 0.5, 0.9] {
                let quantile = units.quantiles.get(step * LEVELS.len() + at(level));
                let _ = quantile.map(|units| write!(text, " {units:>9.2}"));
            }
            text.push('\n');
        }
    }
    for (weeks, outlook) in OUTLOOK_WEEKS.into_iter().zip(&forecast.outlooks) {
        let Some(turns) = outlook.turns else { continue };
        let turns = Turn::ALL.map(|turn| format!("{} {:.2}", turn.name(), turns[turn.index()]));
        let _ = writeln!(text, "in {weeks:>2} weeks: {}", turns.join(", "));
    }
    if let Some(stages) = &forecast.stage_now {
        let stages = Stage::ALL.map(|stage| format!("{} {:.2}", stage.name(), stages.of(stage)));
        let _ = writeln!(text, "stage now: {}", stages.join(", "));
    }
    if forecast.cold_start {
        text.push_str("little history: trust it less\n");
    }
    if forecast.far_from_training {
        text.push_str("far from the training data: trust it less\n");
    }
    text
}

fn forecast_json(served: &ServedForecast) -> Value {
    let ServedForecast { forecast, frequency, model, features, inputs } = served;
    json!({
        "frequency": frequency,
        "origin": frequency.last_day(forecast.origin).to_string(),
        "forecast": forecast,
        "model": model,
        "features": features,
        "inputs": inputs,
    })
}

async fn explanation(of: &Asked, effort: Effort) -> Result<(String, Value), Failure> {
    let remote = of.remote("explain", "explainer")?;
    let LastRun { model, features } = of.artifacts()?;
    let mut client = ExplainerClient::new(remote.channel());
    let (mut texts, mut values) = (Vec::new(), Vec::new());
    for series in of.series() {
        let query = ExplainQuery {
            origin: of.origin,
            evaluations_max: Some(effort.evaluations_max).filter(|most| *most > 0),
            tolerance: effort.tolerance,
            ..ExplainQuery::new(model, features, series)
        };
        let mut request = tonic::Request::new(v1::ExplainRequest::from(query));
        if let Some(ms) = effort.time_ms {
            request.set_timeout(Duration::from_millis(ms));
        }
        let answer = client.explain(request).await;
        let answer = answer.map_err(|status| effort.refused(&remote, &status))?.into_inner();
        let explanation = answer.explanation.map(Explanation::try_from).transpose();
        let explanation = explanation.map_err(|invalid| remote.malformed(&invalid))?;
        let explanation = explanation.context("no explanation").map_err(Failure::internal)?;
        texts.push(explanation_text(&explanation));
        values.push(explanation_json(&explanation));
    }
    Ok((texts.join("\n"), values.into()))
}

fn explanation_text(explanation: &Explanation) -> String {
    let day = explanation.frequency.last_day(explanation.origin);
    let mut text = format!("{} from {day}\n", explanation.series);
    for output in &explanation.outputs {
        let base = output.attribution.base_value;
        let _ = writeln!(text, "{}: {:.4}", output.output, output.served);
        let _ = writeln!(text, "{:>24} {base:>10.4}", "base value");
        let values = output.attribution.values.iter().zip(&output.attribution.standard_errors);
        for (player, (value, error)) in explanation.players.iter().zip(values) {
            let _ = write!(text, "{player:>24} {:>+10.4}", shown(*value));
            text.push_str(&doubt(explanation.quantile * error));
        }
        for Two { one, other, index, error } in strongest(&explanation.players, output) {
            let _ = write!(text, "{:>24} {index:>+10.4}", format!("{one} x {other}"));
            text.push_str(&doubt(explanation.quantile * error));
        }
        if explanation.interaction_source == InteractionSource::Regression {
            let untold = 100.0 * output.interactions_untold;
            let _ = writeln!(text, "{:>24} {untold:>8.1} %", "untold by interactions");
        }
    }
    let told = match explanation.interaction_source {
        InteractionSource::Exact => "interactions (x) are exact, too",
        InteractionSource::Regression => {
            "interactions (x) are estimated from those evaluations; untold is the share of the \
            variance beyond values that terms of two groups miss"
        }
        InteractionSource::TooFew => "interactions are not known from so few evaluations",
        InteractionSource::Owen => "Owen values have no interactions",
    };
    let Explanation { n_evaluations, relative_error, end, .. } = explanation;
    let error = 100.0 * relative_error;
    let _ = match end {
        EstimateEnd::Complete => writeln!(text, "exact, from {n_evaluations} evaluations"),
        EstimateEnd::Deadline => {
            writeln!(text, "time over at {error:.1} % error, {n_evaluations} evaluations")
        }
        _ => writeln!(text, "within {error:.1} %, from {n_evaluations} evaluations"),
    };
    if *relative_error > 0.0 {
        text.push_str("± is half the width of a 95 % interval\n");
    }
    let _ = writeln!(text, "{told}");
    text
}

/// A number without the sign of one that is shown as 0.
fn shown(value: f64) -> f64 {
    if value.abs() < SHOWN_LEAST { 0.0 } else { value }
}

/// The end of a line: half the width of an interval, where there is doubt.
fn doubt(half: f64) -> String {
    if half > 0.0 { format!(" ± {half:.4}\n") } else { "\n".to_owned() }
}

/// What two players add together.
struct Two<'a> {
    one: &'a str,
    other: &'a str,
    index: f64,
    error: f64,
}

/// The interactions that are shown, the largest first.
fn strongest<'a>(players: &'a [String], output: &wire::ExplainedOutput) -> Vec<Two<'a>> {
    let twos = players
        .iter()
        .enumerate()
        .flat_map(|(place, one)| players[place + 1..].iter().map(move |other| (one, other)));
    let numbers = output.interactions.iter().zip(&output.interaction_standard_errors);
    let two = |((one, other), (index, error)): ((&'a String, &'a String), (&f64, &f64))| Two {
        one,
        other,
        index: *index,
        error: *error,
    };
    let mut known: Vec<Two<'_>> = twos.zip(numbers).map(two).collect();
    known.retain(|two| shown(two.index) != 0.0);
    known.sort_by(|a, b| b.index.abs().total_cmp(&a.index.abs()));
    known.truncate(INTERACTIONS_SHOWN);
    known
}

fn explanation_json(explanation: &Explanation) -> Value {
    let output = |explained: &wire::ExplainedOutput| {
        json!({
            "output": explained.output,
            "served": explained.served,
            "base_value": explained.attribution.base_value,
            "values": explained.attribution.values,
            "standard_errors": explained.attribution.standard_errors,
            "interactions": explained.interactions,
            "interaction_standard_errors": explained.interaction_standard_errors,
            "interactions_untold": explained.interactions_untold,
        })
    };
    json!({
        "series": explanation.series,
        "origin": explanation.frequency.last_day(explanation.origin).to_string(),
        "players": explanation.players,
        "outputs": explanation.outputs.iter().map(output).collect::<Vec<_>>(),
        "model": explanation.model,
        "features": explanation.features,
        "inputs": explanation.inputs,
        "n_evaluations": explanation.n_evaluations,
        "relative_error": explanation.relative_error,
        "end": explanation.end,
        "quantile": explanation.quantile,
        "background": explanation.background,
        "method": explanation.replay.method,
        "interaction_source": explanation.interaction_source,
    })
}

async fn plan(of: &Asked, items: Vec<PlanItem>) -> Result<(String, Value), Failure> {
    let remote = of.remote("plan", "planner")?;
    let LastRun { model, features } = of.artifacts()?;
    let query = PlanQuery { model, features, origin: of.origin, items };
    let mut client = PlannerClient::new(remote.channel());
    let answer = client.plan(v1::PlanRequest::from(query)).await;
    let answer = answer.map_err(|status| remote.refused(&status))?.into_inner();
    let plans = answer.plans.into_iter().map(Plan::try_from).collect::<Result<Vec<_>, _>>();
    let plans = plans.map_err(|invalid| remote.malformed(&invalid))?;
    let line = |plan: &Plan| {
        let Plan { series, action, order, reason, .. } = plan;
        format!("{series}: {action}, {order:.0} units now. {reason}\n")
    };
    let value = |plan: &Plan| {
        json!({
            "series": plan.series,
            "origin": plan.frequency.last_day(plan.origin).to_string(),
            "action": plan.action,
            "order": plan.order,
            "order_up_to": plan.order_up_to,
            "stock": plan.stock,
            "covered_periods": plan.covered_periods,
            "service_level": plan.service_level,
            "expected_units": plan.expected_units,
            "expected_shortage": plan.expected_shortage,
            "expected_leftover": plan.expected_leftover,
            "reason": plan.reason,
        })
    };
    Ok((plans.iter().map(line).collect(), plans.iter().map(value).collect()))
}

#[cfg(test)]
mod tests;
