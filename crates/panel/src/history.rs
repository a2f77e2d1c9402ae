//! What is known of each series, by period.

use lifecycle::{Day, Frequency, Invalid, Period, Series};
use serde::{Deserialize, Serialize};

/// One measured quantity by period. A missing value is NaN, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Units sold, as finally known.
    Units,
    /// Share of the period in which the series was in stock, 0 to 1.
    InStock,
    /// Mean price paid per unit.
    Price,
    /// Share of the period under promotion, 0 to 1.
    Promotion,
    /// Order lines.
    Orders,
    /// Units returned, on the date of the return.
    Returns,
    /// Page views.
    Views,
    /// Additions to a cart.
    Carts,
}

impl Channel {
    /// All channels; a channel's position here is its index in [`History::channels`].
    pub const ALL: [Self; 8] = [
        Self::Units,
        Self::InStock,
        Self::Price,
        Self::Promotion,
        Self::Orders,
        Self::Returns,
        Self::Views,
        Self::Carts,
    ];

    /// Snake-case name, as in files and mappings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Units => "units",
            Self::InStock => "in_stock",
            Self::Price => "price",
            Self::Promotion => "promotion",
            Self::Orders => "orders",
            Self::Returns => "returns",
            Self::Views => "views",
            Self::Carts => "carts",
        }
    }
}

/// A later change of a period's units: a cancellation, or a late booking.
///
/// [`Channel::Units`] holds units as finally known; as of an origin before `known`, the change has
/// not happened yet and is taken out again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Correction {
    /// The period whose units changed.
    pub period: Period,
    /// The period in which the change became known; later than `period`.
    pub known: Period,
    /// Units added (negative: taken away) to what was known before.
    pub change: f32,
}

/// What does not change over a product's life.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Statics {
    /// Category path from the root, empty where unknown.
    pub category: Vec<String>,
    /// Brand or manufacturer.
    pub brand: Option<String>,
    /// Title or description.
    pub title: Option<String>,
    /// First period on sale, where the data says so.
    pub launch: Option<Period>,
    /// Period of de-listing, where the data says so.
    pub end: Option<Period>,
}

/// One series: dense arrays over the periods `start..start + n_periods()`.
///
/// Arrays begin at the first known period of the series (launch, first sale or first row) and all
/// end at the panel's end.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Whose.
    pub series: Series,
    /// Of its product.
    pub statics: Statics,
    /// First period of the arrays.
    pub start: Period,
    /// One array per [`Channel::ALL`]; empty where nothing is known of the channel, else of length
    /// `n_periods()`, NaN where missing.
    pub channels: [Vec<f32>; Channel::ALL.len()],
    /// Sorted by (period, known).
    pub corrections: Vec<Correction>,
    /// Stage by period (index in [`lifecycle::Stage::ALL`]) where the data brings its own label,
    /// else empty; 255 where missing.
    pub given_stage: Vec<u8>,
}

impl History {
    /// Share of a period in stock below which its units do not say what could be sold.
    pub const IN_STOCK_MIN: f32 = 0.3;

    /// Length of the arrays.
    pub fn n_periods(&self) -> usize {
        self.channels[Channel::Units as usize].len()
    }

    /// The array of one channel, empty where unknown.
    pub fn channel(&self, channel: Channel) -> &[f32] {
        &self.channels[channel as usize]
    }

    /// The value of a channel in a period; NaN where missing.
    pub fn value(&self, channel: Channel, period: Period) -> f32 {
        usize::try_from(period.since(self.start))
            .ok()
            .and_then(|index| self.channel(channel).get(index).copied())
            .unwrap_or(f32::NAN)
    }

    /// Whether the units of a period say what could be sold: known, and in stock for at least 30 %
    /// of it where stock is known.
    pub fn is_observed(&self, period: Period) -> bool {
        let in_stock = self.value(Channel::InStock, period);
        let is_in_stock = in_stock.is_nan() || in_stock >= Self::IN_STOCK_MIN;
        self.value(Channel::Units, period).is_finite() && is_in_stock
    }

    /// The first `depth` levels of the category path joined by `/`: see [`Panel::share_category`].
    pub fn share_category(&self, depth: usize) -> String {
        let path = &self.statics.category;
        path[..depth.min(path.len())].join("/")
    }

    /// Checks lengths and values.
    pub fn validate(&self) -> Result<(), Invalid> {
        let n_periods = self.n_periods();
        for channel in Channel::ALL {
            let values = self.channel(channel);
            if !values.is_empty() && values.len() != n_periods {
                return Err(Invalid::new(
                    channel.name(),
                    format!("{} periods where units have {n_periods}", values.len()),
                ));
            }
            if values.iter().any(|value| value.is_infinite() || *value < 0.0) {
                return Err(Invalid::new(channel.name(), "must be finite and not negative"));
            }
        }
        Ok(())
    }
}

/// All series of a data set on one calendar.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Length of a period.
    pub frequency: Frequency,
    /// First whole period of the data.
    pub start: Period,
    /// Number of whole periods.
    pub n_periods: usize,
    /// Units that make "one" where they are fractional or normalised, else 1.
    pub units_per_one: f64,
    /// How many levels of the category path make the category of shares; 0: the whole data set.
    pub share_depth: usize,
    /// True where every life in the data has ended: periods after an end count as observed.
    pub all_lives_ended: bool,
    /// Sorted by series.
    pub histories: Vec<History>,
}

impl Panel {
    /// The last period.
    pub fn last(&self) -> Period {
        self.start.plus(self.n_periods as i32 - 1)
    }

    /// The last period that ends by the day, or the panel's last, if that is earlier or no day is
    /// given: the origin of whoever may use data up to that day.
    pub fn origin(&self, day: Option<Day>) -> Period {
        let last = self.last();
        day.map_or(last, |day| self.frequency.last_period_by(day).min(last))
    }

    /// The history of a series.
    pub fn history(&self, series: &Series) -> Option<&History> {
        let place = self.histories.binary_search_by(|history| history.series.cmp(series));
        place.ok().map(|place| &self.histories[place])
    }

    /// The name of the category whose share a series holds: the first `share_depth` levels of its
    /// path joined by `/`; empty where there are none.
    pub fn share_category(&self, history: &History) -> String {
        history.share_category(self.share_depth)
    }
}
