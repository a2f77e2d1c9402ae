//! Every range of the prior, in one table. Durations are in weeks and rates per year, whatever the
//! frequency; `_SHOPS` is the share of shops that have a mechanism at all, `_LIVES` the share of
//! lives within such a shop.

use lifecycle::Frequency;

use crate::draws::Draws;

/// A quantity drawn evenly between two ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Even(pub(crate) f64, pub(crate) f64);

/// A positive quantity whose logarithm is drawn evenly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log(pub(crate) f64, pub(crate) f64);

impl Even {
    pub(crate) fn draw(self, draws: &mut Draws) -> f64 {
        draws.between(self.0, self.1)
    }
}

impl Log {
    pub(crate) fn draw(self, draws: &mut Draws) -> f64 {
        draws.between(self.0.ln(), self.1.ln()).exp()
    }
}

/// Fewest and most periods of a panel.
pub(crate) const fn periods(frequency: Frequency) -> (i64, i64) {
    match frequency {
        Frequency::Day => (400, 730),
        Frequency::Week => (156, 208),
        Frequency::Month => (60, 96),
    }
}

// Shops.
/// Lives of a shop.
pub(crate) const LIVES: Log = Log(20.0, 2_000.0);
/// Its categories.
pub(crate) const CATEGORIES: Log = Log(1.0, 13.0);

// Seasons: of the logarithm of demand.
pub(crate) const SEASON_SHOPS: f64 = 0.75;
/// Amplitude of the year's first harmonic in a shop's typical category.
pub(crate) const SWING: Log = Log(0.04, 0.9);
/// Spread of the amplitude over categories.
pub(crate) const SWING_SPREAD: f64 = 0.5;
/// Second and third harmonic, as shares of the first.
pub(crate) const OVERTONES: [f64; 2] = [0.4, 0.2];
pub(crate) const HOLIDAY_SHOPS: f64 = 0.6;
/// How much the common holidays count, 1 being a gift shop.
pub(crate) const HOLIDAY: Even = Even(0.05, 1.3);
/// A shop's own fixed events: at most so many, this wide (in years) and high.
pub(crate) const EVENTS_MAX: i64 = 3;
pub(crate) const EVENT_WIDTH: Log = Log(0.004, 0.025);
pub(crate) const EVENT_HEIGHT: Even = Even(-0.6, 1.2);
/// Exponent of its category's season in a life.
pub(crate) const SEASONALITY: Even = Even(0.4, 1.4);
/// Spread of the days of the week; a closed day sells nothing.
pub(crate) const WEEKDAY: Log = Log(0.02, 0.6);
pub(crate) const CLOSED_DAY_SHOPS: f64 = 0.25;

// Trends, of the logarithm.
/// Standard deviation of the yearly slope.
pub(crate) const SLOPE: Log = Log(0.02, 0.3);
/// Standard deviation of the walk over a year.
pub(crate) const WALK: Log = Log(0.03, 0.4);

// Shapes of lives.
/// Spread of the weights of shapes over shops, of the logarithm.
pub(crate) const SHAPE_SPREAD: f64 = 1.2;
pub(crate) const RISE: Log = Log(1.5, 30.0);
pub(crate) const PLATEAU: Log = Log(4.0, 200.0);
pub(crate) const FADE: Log = Log(8.0, 160.0);
/// Spread of durations within a shop, of the logarithm.
pub(crate) const PACE_SPREAD: Even = Even(0.4, 1.0);
/// Share of a shop's lives that hardly ever fade.
pub(crate) const EVERGREEN: Even = Even(0.0, 0.75);
pub(crate) const FAD_RISE: Log = Log(0.7, 4.0);
pub(crate) const FAD_FADE: Log = Log(1.5, 10.0);
/// Knots of a piecewise-linear life, and weeks between them.
pub(crate) const KNOTS: (i64, i64) = (3, 8);
pub(crate) const KNOT_GAP: Log = Log(4.0, 70.0);
/// A product sold in one season of each year: weeks of sale, years, change from year to year.
pub(crate) const RETURN_WEEKS: Log = Log(4.0, 24.0);
pub(crate) const RETURN_YEARS: (i64, i64) = (2, 9);
pub(crate) const RETURN_KEPT: Even = Even(0.55, 1.15);

// Courses.
/// Share of a shop's lives that begin within the panel.
pub(crate) const LAUNCHED: Even = Even(0.15, 0.9);
/// Mean age of the others when it begins.
pub(crate) const AGE_BEFORE: Log = Log(15.0, 300.0);
/// Shops that launch in two drops a year.
pub(crate) const DROP_SHOPS: f64 = 0.2;
/// Share of a shop's lives that wait before they take off, for how many weeks, at which level.
pub(crate) const SLOW_LIVES: Even = Even(0.0, 0.5);
pub(crate) const SLOW_WEEKS: Log = Log(3.0, 40.0);
pub(crate) const SLOW_LEVEL: Even = Even(0.01, 0.09);
pub(crate) const RELAUNCH_LIVES: Even = Even(0.0, 0.15);
pub(crate) const RELAUNCH_HEIGHT: Even = Even(0.3, 1.5);
/// Lasting changes of level per year, and the spread of their logarithm.
pub(crate) const SHIFTS: Even = Even(0.0, 0.35);
pub(crate) const SHIFT_SPREAD: f64 = 0.55;
/// Share of lives that the shop takes off once they have sunk to a share of their peak.
pub(crate) const DELISTED: Even = Even(0.05, 0.9);
pub(crate) const PATIENCE: Log = Log(0.01, 0.2);
/// Ends out of nothing.
pub(crate) const SUDDEN: Log = Log(0.005, 0.2);

// Level and noise.
/// Units a week at the peak: the middle of a shop lies at `low + (high - low) u^skew` decades.
pub(crate) const LEVEL_DECADES: Even = Even(-0.7, 2.5);
pub(crate) const LEVEL_SKEW: f64 = 1.5;
/// Daily panels are kept of what sells, monthly ones of spare parts too.
pub(crate) const fn level_shift(frequency: Frequency) -> f64 {
    match frequency {
        Frequency::Day => 0.5,
        Frequency::Week => 0.0,
        Frequency::Month => -0.4,
    }
}
/// Spread of a shop's lives around its middle, in decades.
pub(crate) const LEVEL_SPREAD: Even = Even(0.25, 0.85);
/// Lowest and highest units a week at the peak.
pub(crate) const LEVEL_ENDS: (f64, f64) = (0.04, 5_000.0);
/// Wandering of a life's own level over a year, of the logarithm.
pub(crate) const OWN_WALK: Log = Log(0.05, 0.7);
/// Noise that lasts: weeks of memory, and standard deviation of the logarithm.
pub(crate) const MEMORY: Log = Log(1.5, 20.0);
pub(crate) const LASTING: Log = Log(0.08, 0.85);
/// Shape of the gamma factor of one week; small is wild.
pub(crate) const STEADINESS: Log = Log(0.5, 60.0);
pub(crate) const STEADINESS_SPREAD: f64 = 0.5;

// Counts.
/// Weights of singles, packs and wholesale lots, before each is raised by its own chance.
pub(crate) const LOT_SPREAD: f64 = 1.3;
pub(crate) const LOT_WEIGHTS: [f64; 3] = [1.0, 0.35, 0.18];
/// Intermittent buying: share of time in which anybody buys, and weeks of a run of it.
pub(crate) const INTERMITTENT_SHOPS: f64 = 0.35;
pub(crate) const INTERMITTENT_LIVES: Even = Even(0.05, 0.8);
pub(crate) const BUYING_SHARE: Even = Even(0.15, 0.95);
pub(crate) const BUYING_RUN: Log = Log(0.4, 3.0);

// Offers.
pub(crate) const PRICE: Log = Log(0.5, 300.0);
pub(crate) const PRICE_SPREAD: f64 = 0.6;
/// List-price changes per year, and the spread of one.
pub(crate) const REPRICINGS: Log = Log(0.1, 8.0);
pub(crate) const REPRICING: Log = Log(0.01, 0.12);
/// Yearly drift of all prices.
pub(crate) const INFLATION: Even = Even(-0.03, 0.09);
pub(crate) const ELASTICITY: Log = Log(0.3, 4.5);
pub(crate) const PROMOTION_SHOPS: f64 = 0.65;
/// From a clearance now and then to shops where something is always reduced.
pub(crate) const PROMOTIONS: Log = Log(0.3, 40.0);
pub(crate) const PROMOTION_WEEKS: Log = Log(0.4, 4.0);
pub(crate) const DEPTH: Even = Even(0.05, 0.5);
/// Extra demand under promotion, beside its price.
pub(crate) const LIFT: Log = Log(0.03, 1.2);
pub(crate) const MARKDOWN_LIVES: Even = Even(0.0, 0.9);
pub(crate) const MARKDOWN_TRIGGER: Even = Even(0.25, 0.8);
/// Shops whose books hold prices and promotions always, of products on sale, where something was
/// sold, and never.
pub(crate) const PRICES_KEPT: [f64; 4] = [0.15, 0.3, 0.3, 0.25];
pub(crate) const PROMOTIONS_KEPT: [f64; 4] = [0.15, 0.25, 0.25, 0.35];

// Shortages.
pub(crate) const SHORTAGE_SHOPS: f64 = 0.7;
pub(crate) const SHORTAGES: Log = Log(0.1, 3.0);
pub(crate) const SHORTAGE_WEEKS: Log = Log(0.5, 8.0);
pub(crate) const STOCK_KNOWN_SHOPS: f64 = 0.35;

// Books.
pub(crate) const LAUNCH_KNOWN_SHOPS: f64 = 0.4;
pub(crate) const END_KNOWN_SHOPS: f64 = 0.2;
/// Shops whose files stop with a life, in place of zeros to the panel's end.
pub(crate) const STOPPING_SHOPS: f64 = 0.15;
pub(crate) const HOLED_SHOPS: f64 = 0.2;
/// Share of cells that such a shop has lost one by one.
pub(crate) const HOLES: Log = Log(0.002, 0.06);
/// Periods that it has lost altogether, at most.
pub(crate) const GAP_WEEKS: Log = Log(1.0, 6.0);
/// Slips and one-off orders per year, and how many weeks of the peak one is worth.
pub(crate) const SLIP_SHOPS: f64 = 0.35;
pub(crate) const SLIPS: Log = Log(0.02, 0.6);
pub(crate) const SLIP_WEEKS: Log = Log(3.0, 40.0);
/// Shops that count in other units: fractions, hundreds, shares of something.
pub(crate) const SCALED_SHOPS: f64 = 0.06;
pub(crate) const SCALE: Log = Log(0.01, 100.0);
