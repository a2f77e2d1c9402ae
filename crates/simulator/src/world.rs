//! The two worlds as tables of parameters. Durations are in weeks, rates per year where named so.

use crate::config::World;
use crate::draws::{Spread, spread};
use crate::vocabulary::{FASHION_AND_TRADE, HOUSEHOLD, Kind};

/// How the products of a department live, sell and are priced.
#[derive(Debug)]
pub(crate) struct Temper {
    /// Weights of [`crate::life::FAMILIES`].
    pub(crate) families: [f64; 5],
    pub(crate) rise: Spread,
    pub(crate) plateau: Spread,
    pub(crate) fade: Spread,
    /// Share of products that hardly ever fade.
    pub(crate) evergreen: f64,
    /// Share launched a second time.
    pub(crate) relaunch: f64,
    /// Share that lose part of their demand for good.
    pub(crate) permanent_hit: f64,
    /// Share that the shop de-lists once they have sunk.
    pub(crate) delisting: f64,
    /// Rate at which a product is taken off for reasons of its own.
    pub(crate) cuts_per_year: f64,
    /// New products come in two seasonal drops a year.
    pub(crate) has_drops: bool,
    /// Weeks before the calendar in which launches may fall.
    pub(crate) before: i32,
    /// Order lines per week at the peak.
    pub(crate) lines: Spread,
    /// Weights of [`crate::lots::Granularity`].
    pub(crate) lots: [f64; 3],
    /// Shape of the gamma noise of a week; small is wild.
    pub(crate) steadiness: Spread,
    /// Standard deviation of the slow drift of log demand.
    pub(crate) drift: f64,
    /// Share of weeks in which anybody buys at all.
    pub(crate) buying_share: (f64, f64),
    /// Size of the price elasticity.
    pub(crate) elasticity: Spread,
    /// Extra demand under promotion beside its price.
    pub(crate) lift: Spread,
    pub(crate) promotions_per_year: f64,
    /// Share of products marked down late in life.
    pub(crate) markdown: f64,
    /// Share of order lines that come back.
    pub(crate) returns: f64,
    /// Weeks from reorder to delivery.
    pub(crate) delivery: Spread,
    /// Weeks of sales held as safety stock.
    pub(crate) safety: f64,
}

/// A department of the shop.
#[derive(Debug)]
pub(crate) struct Department {
    pub(crate) name: &'static str,
    pub(crate) code: &'static str,
    /// Share of the products.
    pub(crate) share: f64,
    pub(crate) temper: Temper,
    pub(crate) kinds: &'static [Kind],
}

/// What drives a marketplace as a whole.
#[derive(Debug)]
pub(crate) struct Mechanisms {
    pub(crate) departments: &'static [Department],
    /// Standard deviation of the weekly step of a category's log trend.
    pub(crate) category_drift: f64,
    /// Shocks by competitors, per product and year.
    pub(crate) shocks_per_year: f64,
    /// How sharp the seasons are, times the categories' own swing.
    pub(crate) season: f64,
    /// Weight of demand 2, 1 and 0 weeks later in this week's views.
    pub(crate) views_lead: [f64; 3],
    /// Shape of the gamma noise of views.
    pub(crate) views_steadiness: f64,
    /// Share of orders without a customer.
    pub(crate) guests: f64,
    /// Share of customers who buy for a trade.
    pub(crate) trade_customers: f64,
    /// Share of promotions that hold for part of the week.
    pub(crate) flash: f64,
}

impl Mechanisms {
    /// The parameters of a world.
    pub(crate) fn of(world: World) -> &'static Self {
        match world {
            World::Household => &FIRST,
            World::FashionAndTrade => &SECOND,
        }
    }

    /// The tempers of all departments.
    #[cfg(test)]
    pub(crate) fn tempers(&self) -> impl Iterator<Item = &'static Temper> + use<> {
        self.departments.iter().map(|department| &department.temper)
    }
}

static FIRST: Mechanisms = Mechanisms {
    departments: &HOUSEHOLD,
    category_drift: 0.008,
    shocks_per_year: 0.1,
    season: 1.0,
    views_lead: [0.15, 0.45, 0.4],
    views_steadiness: 8.0,
    guests: 0.08,
    trade_customers: 0.15,
    flash: 0.0,
};

static SECOND: Mechanisms = Mechanisms {
    departments: &FASHION_AND_TRADE,
    category_drift: 0.03,
    shocks_per_year: 0.5,
    season: 1.0,
    views_lead: [0.3, 0.4, 0.3],
    views_steadiness: 4.0,
    guests: 0.18,
    trade_customers: 0.4,
    flash: 0.4,
};

/// Kitchen, living, stationery: long lives of every family.
pub(crate) const STAPLE: Temper = Temper {
    families: [0.25, 0.22, 0.22, 0.28, 0.03],
    rise: spread(13.0, 0.7),
    plateau: spread(26.0, 0.9),
    fade: spread(34.0, 0.7),
    evergreen: 0.15,
    relaunch: 0.05,
    permanent_hit: 0.06,
    delisting: 0.8,
    cuts_per_year: 0.05,
    has_drops: false,
    before: 360,
    lines: spread(7.0, 1.05),
    lots: [0.62, 0.26, 0.12],
    steadiness: spread(2.5, 0.5),
    drift: 0.4,
    buying_share: (0.8, 1.0),
    elasticity: spread(1.3, 0.4),
    lift: spread(0.35, 0.4),
    promotions_per_year: 2.5,
    markdown: 0.55,
    returns: 0.03,
    delivery: spread(3.0, 0.4),
    safety: 3.8,
};

/// Electronics and toys: adopted and replaced within a year or two.
pub(crate) const GADGET: Temper = Temper {
    families: [0.15, 0.4, 0.25, 0.15, 0.05],
    rise: spread(11.0, 0.6),
    plateau: spread(14.0, 0.7),
    fade: spread(22.0, 0.6),
    evergreen: 0.06,
    relaunch: 0.03,
    permanent_hit: 0.12,
    lines: spread(11.5, 1.05),
    lots: [0.9, 0.08, 0.02],
    elasticity: spread(1.9, 0.35),
    promotions_per_year: 4.0,
    markdown: 0.7,
    returns: 0.07,
    delivery: spread(5.0, 0.4),
    before: 200,
    ..STAPLE
};

/// Clothes: two drops a year, up in weeks, gone with the season.
pub(crate) const FASHION: Temper = Temper {
    families: [0.1, 0.12, 0.25, 0.18, 0.35],
    rise: spread(4.5, 0.5),
    plateau: spread(9.0, 0.6),
    fade: spread(14.0, 0.6),
    evergreen: 0.07,
    relaunch: 0.05,
    permanent_hit: 0.1,
    delisting: 0.9,
    cuts_per_year: 0.1,
    has_drops: true,
    before: 150,
    lines: spread(13.0, 1.1),
    lots: [0.93, 0.07, 0.0],
    steadiness: spread(2.5, 0.5),
    drift: 0.35,
    buying_share: (0.9, 1.0),
    elasticity: spread(2.8, 0.3),
    lift: spread(0.25, 0.4),
    promotions_per_year: 4.0,
    markdown: 0.85,
    returns: 0.22,
    delivery: spread(8.0, 0.4),
    safety: 5.0,
};

/// Supplies for trades: long lives, few orders, large lots.
pub(crate) const TRADE: Temper = Temper {
    families: [0.3, 0.1, 0.1, 0.45, 0.05],
    rise: spread(16.0, 0.7),
    plateau: spread(40.0, 0.8),
    fade: spread(40.0, 0.7),
    evergreen: 0.2,
    relaunch: 0.04,
    permanent_hit: 0.15,
    delisting: 0.6,
    cuts_per_year: 0.08,
    has_drops: false,
    before: 360,
    lines: spread(10.0, 1.05),
    lots: [0.1, 0.3, 0.6],
    steadiness: spread(1.6, 0.5),
    drift: 0.45,
    buying_share: (0.4, 0.95),
    elasticity: spread(2.0, 0.35),
    lift: spread(0.2, 0.4),
    promotions_per_year: 1.0,
    markdown: 0.3,
    returns: 0.015,
    delivery: spread(4.0, 0.4),
    safety: 5.0,
};
