//! The history of one series as a call brings or asks for it.

use std::ops::RangeInclusive;

use lifecycle::{Frequency, Invalid, Period, Series};

use crate::fields::{self, AMOUNT_MAX, NAME_BYTES_MAX};
use crate::{series, v1};

/// Most periods of a history, and most planned periods.
const PERIODS_MAX: usize = 4096;

/// Most levels of a category path.
const CATEGORY_LEVELS_MAX: usize = 16;

/// Most bytes of a title.
const TITLE_BYTES_MAX: usize = 4096;

/// What `units_per_one` may be.
const UNITS_PER_ONE: RangeInclusive<f64> = 1e-9..=1e9;

/// What is known of one series, by period. NaN stands for a missing value, never zero.
///
/// Every array but the planned ones is as long as `units` or, where nothing is known, empty.
#[derive(Debug, Clone, PartialEq)]
pub struct InlineHistory {
    /// Whose.
    pub series: Series,
    /// Length of a period.
    pub frequency: Frequency,
    /// First period of the arrays.
    pub start: Period,
    /// Units sold. Shape `[n_periods]`.
    pub units: Vec<f32>,
    /// Share of the period in which the series was in stock.
    pub in_stock: Vec<f32>,
    /// Mean price paid per unit.
    pub price: Vec<f32>,
    /// Share of the period under promotion.
    pub promotion: Vec<f32>,
    /// Order lines.
    pub orders: Vec<f32>,
    /// Units returned, on the date of the return.
    pub returns: Vec<f32>,
    /// Page views.
    pub views: Vec<f32>,
    /// Additions to a cart.
    pub carts: Vec<f32>,
    /// Prices planned for the periods after the last of `units`.
    pub planned_price: Vec<f32>,
    /// Shares under promotion planned for the periods after the last of `units`.
    pub planned_promotion: Vec<f32>,
    /// Category path from the root, empty where unknown.
    pub category: Vec<String>,
    /// Brand or manufacturer.
    pub brand: Option<String>,
    /// Title or description.
    pub title: Option<String>,
    /// First period on sale, where known.
    pub launch: Option<Period>,
    /// Period of de-listing, where known.
    pub end: Option<Period>,
    /// Units that make one where they are fractional or normalised, else 1.
    pub units_per_one: f64,
}

impl InlineHistory {
    /// The last period of the units: the origin of a forecast from this history.
    pub fn origin(&self) -> Period {
        self.start.plus(self.units.len() as i32 - 1)
    }

    /// Checks lengths and values.
    pub fn validate(&self) -> Result<(), Invalid> {
        fields::length("units", &self.units, 1..=PERIODS_MAX)?;
        let n_periods = self.units.len();
        let (shares, amounts) = (1.0, AMOUNT_MAX as f32);
        for (field, values, most) in [
            ("units", &self.units, amounts),
            ("in_stock", &self.in_stock, shares),
            ("price", &self.price, amounts),
            ("promotion", &self.promotion, shares),
            ("orders", &self.orders, amounts),
            ("returns", &self.returns, amounts),
            ("views", &self.views, amounts),
            ("carts", &self.carts, amounts),
        ] {
            if !values.is_empty() && values.len() != n_periods {
                let (n, of) = (values.len(), n_periods);
                return Err(Invalid::new(field, format!("has {n} periods where units have {of}")));
            }
            check_values(field, values, most)?;
        }
        for (field, values, most) in [
            ("planned_price", &self.planned_price, amounts),
            ("planned_promotion", &self.planned_promotion, shares),
        ] {
            fields::length(field, values, 0..=PERIODS_MAX)?;
            check_values(field, values, most)?;
        }
        fields::length("category", &self.category, 0..=CATEGORY_LEVELS_MAX)?;
        fields::within("units_per_one", self.units_per_one, UNITS_PER_ONE).map(drop)
    }
}

/// Each value is missing, or between 0 and `most`.
fn check_values(field: &str, values: &[f32], most: f32) -> Result<(), Invalid> {
    let fits = |value: &f32| value.is_nan() || (0.0..=most).contains(value);
    let Some(index) = values.iter().position(|value| !fits(value)) else { return Ok(()) };
    let reason = format!("is {}; must be 0 to {most}", values[index]);
    Err(Invalid::new(format!("{field}[{index}]"), reason))
}

impl TryFrom<v1::History> for InlineHistory {
    type Error = Invalid;

    fn try_from(message: v1::History) -> Result<Self, Invalid> {
        let v1::History {
            series,
            frequency,
            first_day,
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
            launch_day,
            end_day,
            units_per_one,
        } = message;
        let frequency = series::frequency(frequency)?;
        let optional_period = |field: &str, day: Option<i32>| {
            day.map(|day| series::period(field, frequency, day)).transpose()
        };
        let level = |level| fields::required_text("", level, NAME_BYTES_MAX);
        let history = Self {
            series: series::series(series)?,
            frequency,
            start: series::period("first_day", frequency, first_day)?,
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
            category: fields::each("category", category, level)?,
            brand: fields::optional_text("brand", brand, NAME_BYTES_MAX)?,
            title: fields::optional_text("title", title, TITLE_BYTES_MAX)?,
            launch: optional_period("launch_day", launch_day)?,
            end: optional_period("end_day", end_day)?,
            units_per_one: if units_per_one == 0.0 { 1.0 } else { units_per_one },
        };
        history.validate()?;
        Ok(history)
    }
}

impl From<InlineHistory> for v1::History {
    fn from(history: InlineHistory) -> Self {
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
        } = history;
        Self {
            series: Some(series.into()),
            frequency: series::frequency_number(frequency),
            first_day: frequency.first_day(start).0,
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
            brand: brand.unwrap_or_default(),
            title: title.unwrap_or_default(),
            launch_day: launch.map(|period| frequency.first_day(period).0),
            end_day: end.map(|period| frequency.first_day(period).0),
            units_per_one,
        }
    }
}
