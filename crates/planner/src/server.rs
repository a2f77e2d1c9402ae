//! `lifecast.v1.Planner`: tables of plans as runs, and live plans from the predictor's forecasts.

use service::{Stage, status};
use tables::PlanRow;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use wire::v1::planner_server::{Planner, PlannerServer};
use wire::{
    ForecastQuery, Plan, PlanItem, PlanQuery, ServedForecast, invalid_argument, read_start, v1,
};

use crate::upstream::Predictor;
use crate::{Config, Error, Inputs, replenish, run};

/// The service, for a server that decodes messages of at most `max_message_size` bytes; live plans
/// ask the predictor at the end of the channel.
pub fn server(
    stage: Stage,
    max_message_size: usize,
    predictor: Channel,
) -> PlannerServer<impl Planner> {
    let predictor = Predictor::new(predictor, max_message_size);
    PlannerServer::new(Server { stage, predictor }).max_decoding_message_size(max_message_size)
}

struct Server {
    stage: Stage,
    predictor: Predictor,
}

#[tonic::async_trait]
impl Planner for Server {
    async fn start_planning(
        &self,
        request: Request<v1::StartPlanningRequest>,
    ) -> Result<Response<v1::StartPlanningResponse>, Status> {
        let start = read_start(request.into_inner()).map_err(invalid_argument)?;
        let run = self.stage.start(
            start,
            (Inputs::NEEDED, &[]),
            Error::kind,
            |config, inputs, output, progress| {
                run(config, &Inputs::named(inputs), output, progress)
            },
        )?;
        Ok(Response::new(v1::StartPlanningResponse { run: Some(run.into()) }))
    }

    async fn plan(
        &self,
        request: Request<v1::PlanRequest>,
    ) -> Result<Response<v1::PlanResponse>, Status> {
        let query = PlanQuery::try_from(request.into_inner()).map_err(invalid_argument)?;
        let PlanQuery { model, features, origin, items } = query;
        let series = items.iter().map(|item| item.series.clone()).collect();
        let query = ForecastQuery { model, features, series, origin };
        let forecasts = self.predictor.forecasts(query).await?;
        let plans = items.iter().zip(&forecasts).map(|(item, served)| plan(item, served));
        let plans = plans.collect::<Result<Vec<v1::Plan>, Status>>()?;
        Ok(Response::new(v1::PlanResponse { plans }))
    }
}

fn plan(item: &PlanItem, served: &ServedForecast) -> Result<v1::Plan, Status> {
    let PlanItem { series, lead_time, review, shortage_cost, leftover_cost, stock, lot_size } =
        item;
    let config = Config {
        lead_time: *lead_time as usize,
        review: *review as usize,
        underage: *shortage_cost,
        overage: *leftover_cost,
        lot: *lot_size,
        ..Config::default()
    };
    let row = replenish(&config, &served.forecast, Some(*stock)).ok_or_else(|| {
        let covered = config.covered_periods();
        let message = format!(
            "series `{series}`: lead time and review are {covered} periods, beyond the forecast's \
             horizon, or its model gives no cumulative quantiles"
        );
        status(Code::FailedPrecondition, &message, "BEYOND_HORIZON")
    })?;
    let PlanRow {
        series,
        origin,
        covered_periods,
        service_level,
        expected_units,
        order_up_to,
        stock,
        order,
        expected_shortage,
        expected_leftover,
        action,
        reason,
    } = row;
    let plan = Plan {
        series,
        frequency: served.frequency,
        origin,
        covered_periods: covered_periods as u32,
        service_level,
        expected_units,
        order_up_to,
        stock,
        order,
        expected_shortage,
        expected_leftover,
        action,
        reason,
    };
    Ok(plan.into())
}
