//! From one forecast to one line of a plan: order, hold, mark down or delist, and why.

use std::ops::RangeInclusive;

use lifecycle::{Forecast, Invalid, Turn};
use serde::{Deserialize, Serialize};
use tables::PlanRow;

use crate::newsvendor::{Units, critical_ratio, order_quantity};

/// Most of a cost, and what a lot may hold: as the service limits them, far from overflow.
const AMOUNT_MAX: f64 = 1e12;
const LOT_SIZES: RangeInclusive<f64> = 1e-6..=AMOUNT_MAX;

/// Most periods of lead time or review.
const PERIODS_MAX: usize = 4096;

/// Costs, delays and thresholds of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Periods from order to delivery.
    pub lead_time: usize,
    /// Periods between orders.
    pub review: usize,
    /// Cost of one unit short, as a share of its price: the margin lost.
    pub underage: f64,
    /// Cost of one unit left over, as a share of its price: holding and mark-down.
    pub overage: f64,
    /// Units in a lot.
    pub lot: f64,
    /// Advise to delist above this probability that nothing is sold by 13 weeks.
    pub delist_above: f64,
    /// Advise to mark down above this probability that the share halves by 13 weeks.
    pub mark_down_above: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lead_time: 2,
            review: 1,
            underage: 0.4,
            overage: 0.1,
            lot: 1.0,
            delist_above: 0.6,
            mark_down_above: 0.6,
        }
    }
}

impl Config {
    /// Checks ranges; names the key that is out of range.
    pub fn validate(&self) -> Result<(), Invalid> {
        for (key, value) in [("underage", self.underage), ("overage", self.overage)] {
            if !(value > 0.0 && value <= AMOUNT_MAX) {
                let reason = format!("{value:?} must be positive and at most {AMOUNT_MAX}");
                return Err(Invalid::new(key, reason));
            }
        }
        if !LOT_SIZES.contains(&self.lot) {
            let (least, most) = LOT_SIZES.into_inner();
            return Err(Invalid::new("lot", format!("{:?} must be {least} to {most}", self.lot)));
        }
        for (key, value) in
            [("delist_above", self.delist_above), ("mark_down_above", self.mark_down_above)]
        {
            if !(0.0..=1.0).contains(&value) {
                return Err(Invalid::new(key, format!("{value} must be a probability")));
            }
        }
        for (key, value) in [("lead_time", self.lead_time), ("review", self.review)] {
            if value > PERIODS_MAX {
                return Err(Invalid::new(key, format!("{value} must be at most {PERIODS_MAX}")));
            }
        }
        if self.lead_time + self.review == 0 {
            return Err(Invalid::new("review", "lead time and review must not both be 0"));
        }
        Ok(())
    }

    /// Periods that an order placed now has to last.
    pub fn covered_periods(&self) -> usize {
        self.lead_time + self.review
    }
}

/// The plan for one series with `stock` units at hand and on order, counted as none where it is not
/// known; `None` where the forecast has no cumulative quantiles or does not reach over lead time
/// and review.
pub fn replenish(config: &Config, forecast: &Forecast, stock: Option<f64>) -> Option<PlanRow> {
    let at_hand = stock.map_or("what is at hand is not known".to_owned(), |stock| {
        format!("{stock:.0} are at hand or on order")
    });
    let stock = stock.unwrap_or(0.0);
    let covered = config.covered_periods();
    let units = forecast.units.as_ref()?;
    if units.cumulative_quantiles.is_empty() || units.horizon() < covered {
        return None;
    }
    let distribution = Units::new(units.cumulative_at(covered - 1));
    let service_level = critical_ratio(config.underage, config.overage);
    let order_up_to = distribution.quantile(service_level);
    let turns = forecast.outlooks[1].turns.unwrap_or([0.0; 3]);
    let silent = f64::from(turns[Turn::Silent.index()]);
    let halved = f64::from(turns[Turn::Halved.index()]);
    let is_leaving = silent > config.delist_above;
    let order = if is_leaving { 0.0 } else { order_quantity(order_up_to, stock, config.lot) };
    let after = stock + order;
    let action = if is_leaving {
        "delist"
    } else if halved > config.mark_down_above {
        "mark down"
    } else if order > 0.0 {
        "order"
    } else {
        "hold"
    };
    let expected_units: f64 = units.means[..covered].iter().map(|mean| f64::from(*mean)).sum();
    let percent = |probability: f64| 100.0 * probability;
    let reason = format!(
        "{expected_units:.1} units expected over {covered} periods; {order_up_to:.1} cover them with \
         probability {:.0} %, {at_hand}. Within 13 weeks the share halves \
         with probability {:.0} % and nothing is sold with {:.0} %.",
        percent(service_level),
        percent(halved),
        percent(silent),
    );
    Some(PlanRow {
        series: forecast.series.clone(),
        origin: forecast.origin,
        covered_periods: covered as i32,
        service_level,
        expected_units,
        order_up_to,
        stock,
        order,
        expected_shortage: distribution.expected_shortage(after),
        expected_leftover: distribution.expected_leftover(after),
        action: action.to_owned(),
        reason,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use lifecycle::{LEVELS, Outlook, Period, Series, UnitsForecast};

    use super::*;

    /// A forecast of three periods.
    pub(crate) fn forecast(turns: [f32; 3]) -> Forecast {
        let step: Vec<f32> = LEVELS.iter().map(|level| (level * 10.0) as f32).collect();
        let cumulative = |n: f32| step.iter().map(move |units| units * n);
        Forecast {
            series: Series::of("mug"),
            origin: Period(0),
            units: Some(UnitsForecast {
                means: vec![5.0; 3],
                quantiles: step.repeat(3),
                cumulative_quantiles: [1.0, 2.0, 3.0].into_iter().flat_map(cumulative).collect(),
            }),
            stage_now: None,
            outlooks: [Outlook { turns: Some(turns), stage: None }; 3],
            cold_start: false,
            far_from_training: false,
        }
    }

    #[test]
    fn an_order_covers_lead_time_and_review() {
        let row =
            replenish(&Config::default(), &forecast([0.2, 0.1, 0.0]), Some(4.0)).expect("a plan");
        assert_eq!((row.covered_periods, row.action.as_str()), (3, "order"));
        assert!((row.service_level - 0.8).abs() < 1e-9);
        assert!((row.order_up_to - 24.0).abs() < 1e-3);
        assert_eq!(row.order, 20.0);
    }

    #[test]
    fn a_product_about_to_fall_silent_is_not_ordered() {
        let row = replenish(&Config::default(), &forecast([0.9, 0.0, 0.7]), None).expect("a plan");
        assert_eq!((row.order, row.action.as_str()), (0.0, "delist"));
        assert!(row.reason.contains("what is at hand is not known"), "{}", row.reason);
        let row =
            replenish(&Config::default(), &forecast([0.7, 0.0, 0.2]), Some(50.0)).expect("a plan");
        assert_eq!((row.order, row.action.as_str()), (0.0, "mark down"));
    }

    #[test]
    fn a_forecast_too_short_gives_no_plan() {
        let config = Config { lead_time: 8, ..Config::default() };
        assert_eq!(replenish(&config, &forecast([0.0; 3]), None), None);
    }

    #[test]
    fn wrong_settings_are_named() {
        let check = |config: Config, field: &str| {
            assert_eq!(config.validate().map_err(|invalid| invalid.field), Err(field.to_owned()));
        };
        let defaults = Config::default;
        assert_eq!(defaults().validate(), Ok(()));
        check(Config { lot: 0.0, ..defaults() }, "lot");
        check(Config { lot: 1e-300, ..defaults() }, "lot");
        check(Config { underage: f64::NAN, ..defaults() }, "underage");
        check(Config { overage: 1e13, ..defaults() }, "overage");
        check(Config { lead_time: usize::MAX, ..defaults() }, "lead_time");
        check(Config { lead_time: 0, review: 0, ..defaults() }, "review");
    }
}
