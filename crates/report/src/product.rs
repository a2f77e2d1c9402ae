//! One product's charts: history, forecast, turns and stages over origins, and what they rest on.

use lifecycle::{Forecast, LEVELS, Period, Series, Stage, Turn, UnitsForecast};
use panel::{Channel, History};
use tables::{AttributionRow, CounterfactualRow, PlanRow};

use crate::numbers::short;
use crate::view::{ProductView, Turner, Waterfall};

/// Levels of the fan chart.
const FAN: [f64; 5] = [0.05, 0.2, 0.5, 0.8, 0.95];

/// The calendar of the charts: positions count periods from the panel's first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calendar {
    /// The panel's first period.
    pub(crate) start: Period,
    /// Periods of history shown.
    pub(crate) n_shown: usize,
}

impl Calendar {
    pub(crate) fn position(&self, period: Period) -> usize {
        usize::try_from(period.since(self.start)).unwrap_or(0)
    }
}

/// The charts of one series from all forecasts of it.
pub(crate) fn product_view(
    calendar: Calendar,
    history: &History,
    forecasts: &mut [Forecast],
    (attributions, counterfactuals): (&[AttributionRow], &[CounterfactualRow]),
    plan: Option<&PlanRow>,
) -> ProductView {
    forecasts.sort_by_key(|forecast| forecast.origin);
    let n_periods = history.n_periods();
    let first = n_periods.saturating_sub(calendar.n_shown);
    let periods = (first..n_periods).map(|index| history.start.plus(index as i32));
    let observed = |period| {
        let units = history.value(Channel::Units, period);
        units.is_finite().then(|| short(units))
    };
    let mut view = ProductView {
        series: history.series.to_string(),
        title: history.statics.title.clone().unwrap_or_default(),
        category: history.statics.category.join(" › "),
        start: calendar.position(history.start.plus(first as i32)),
        units: periods.map(observed).collect(),
        origins: forecasts.iter().map(|forecast| calendar.position(forecast.origin)).collect(),
        turns: (0..3)
            .map(|outlook| Turn::ALL.map(|turn| turns(forecasts, outlook, turn)).to_vec())
            .collect(),
        stages: Stage::ALL[..4].iter().map(|stage| stages(forecasts, *stage)).collect(),
        waterfalls: waterfalls(attributions, &history.series),
        turners: turners(counterfactuals, &history.series),
        ..ProductView::default()
    };
    if let Some(plan) = plan {
        view.action.clone_from(&plan.action);
        view.reason.clone_from(&plan.reason);
    }
    if let Some(latest) = forecasts.last() {
        add_latest(&mut view, calendar, latest);
    }
    view
}

fn add_latest(view: &mut ProductView, calendar: Calendar, latest: &Forecast) {
    view.ahead = calendar.position(latest.origin.plus(1));
    if let Some(units) = &latest.units {
        view.mean = units.means.iter().map(|mean| short(*mean)).collect();
        view.fan = fan(units);
    }
    view.stage = latest.stage_now.map_or("", |stages| stages.likeliest().name());
    if latest.cold_start {
        view.cautions.push("Little history: trust the forecast less.");
    }
    if latest.far_from_training {
        view.cautions.push("Its history is unlike any that the model was trained on.");
    }
}

fn turns(forecasts: &[Forecast], outlook: usize, turn: Turn) -> Vec<Option<f32>> {
    let of = |forecast: &Forecast| Some(short(forecast.outlooks[outlook].turns?[turn.index()]));
    forecasts.iter().map(of).collect()
}

fn stages(forecasts: &[Forecast], stage: Stage) -> Vec<Option<f32>> {
    forecasts.iter().map(|forecast| Some(short(forecast.stage_now?.of(stage)))).collect()
}

/// Quantiles at the levels of the fan. Shape `[5][horizon]`.
fn fan(units: &UnitsForecast) -> Vec<Vec<f32>> {
    if units.quantiles.is_empty() {
        return Vec::new();
    }
    let at = |level: &f64| {
        let place = LEVELS.iter().position(|known| known == level).unwrap_or(0);
        (0..units.horizon()).map(|step| short(units.quantiles_at(step)[place])).collect()
    };
    FAN.iter().map(at).collect()
}

fn waterfalls(rows: &[AttributionRow], series: &Series) -> Vec<Waterfall> {
    let mut waterfalls: Vec<Waterfall> = Vec::new();
    for row in rows.iter().filter(|row| row.series == *series) {
        let player = (row.player.clone(), row.value, row.standard_error);
        match waterfalls.iter_mut().find(|waterfall| waterfall.output == row.output) {
            Some(waterfall) => waterfall.players.push(player),
            None => waterfalls.push(Waterfall {
                output: row.output.clone(),
                base: row.base_value,
                served: row.served,
                players: vec![player],
                words: String::new(),
            }),
        }
    }
    for waterfall in &mut waterfalls {
        waterfall.players.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    }
    waterfalls
}

fn turners(rows: &[CounterfactualRow], series: &Series) -> Vec<Turner> {
    let own = rows.iter().filter(|row| row.series == *series);
    let turner = |row: &CounterfactualRow| Turner {
        target: row.target.clone(),
        is_reached: row.is_reached,
        sentence: row.en.clone(),
    };
    own.map(turner).collect()
}

#[cfg(test)]
mod tests {
    use lifecycle::{Outlook, StageProbabilities};
    use panel::Statics;

    use super::*;

    #[test]
    fn positions_count_from_the_first_period_of_the_panel() {
        let mut history = History {
            series: Series::of("mug"),
            statics: Statics { title: Some("Mug".into()), ..Statics::default() },
            start: Period(102),
            channels: Default::default(),
            corrections: Vec::new(),
            given_stage: Vec::new(),
        };
        history.channels[Channel::Units as usize] = vec![1.0, f32::NAN, 3.0, 4.0];
        let forecast = |origin, growth| Forecast {
            series: Series::of("mug"),
            origin: Period(origin),
            units: Some(UnitsForecast {
                means: vec![5.0; 2],
                quantiles: [(0..13_u8).map(f32::from), (0..13).map(f32::from)]
                    .into_iter()
                    .flatten()
                    .collect(),
                cumulative_quantiles: Vec::new(),
            }),
            stage_now: Some(StageProbabilities::from_weights([1.0, growth, 0.0, 0.0, 0.0])),
            outlooks: [Outlook { turns: Some([0.1, 0.2, 0.0]), stage: None }; 3],
            cold_start: true,
            far_from_training: false,
        };
        let calendar = Calendar { start: Period(100), n_shown: 3 };
        let mut forecasts = [forecast(105, 3.0), forecast(104, 0.0)];
        let turner = |product: &str| CounterfactualRow {
            series: Series::of(product),
            origin: Period(105),
            target: "more sales".into(),
            is_reached: true,
            planned_price: f64::NAN,
            planned_promotion: f64::NAN,
            recent_price: 0.9,
            recent_promotion: f64::NAN,
            recent_stock: f64::NAN,
            distance: 0.2,
            output: "units".into(),
            before: 1.0,
            after: 2.0,
            en: format!("{product} at .9."),
            zh: String::new(),
        };
        let turners = ["cup", "mug"].map(turner);
        let view = product_view(calendar, &history, &mut forecasts, (&[], &turners), None);
        assert_eq!(view.turners.len(), 1, "only its own");
        assert_eq!(view.turners[0].sentence, "mug at .9.");
        assert_eq!((view.start, view.units), (3, vec![None, Some(3.0), Some(4.0)]));
        assert_eq!((view.origins, view.ahead, view.stage), (vec![4, 5], 6, "growth"));
        assert_eq!(view.stages[1], [Some(0.0), Some(0.75)]);
        assert_eq!(view.turns[2][1], [Some(0.2), Some(0.2)]);
        assert_eq!(view.fan, [1.0, 3.0, 6.0, 9.0, 11.0].map(|units| vec![units; 2]));
        assert_eq!(view.cautions.len(), 1);
    }
}
