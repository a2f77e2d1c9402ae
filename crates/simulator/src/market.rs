//! What all products share: categories with their seasons and trends, and brands.

use crate::config::Config;
use crate::draws::{Draws, spread};
use crate::season;
use crate::vocabulary::{BRAND_HEADS, BRAND_TAILS, Kind};
use crate::world::{Department, Mechanisms};

/// Weeks simulated beyond the calendar, because views lead demand.
pub(crate) const LEAD_WEEKS: usize = 2;
/// Brands in each department.
const BRANDS: usize = 9;

/// A category of the tree.
#[derive(Debug)]
pub(crate) struct Category {
    /// Position in [`Mechanisms::departments`].
    pub(crate) department: usize,
    pub(crate) kind: &'static Kind,
    /// Seasonal factor by week, mean 1 over a year.
    pub(crate) season: Vec<f64>,
    /// Factor of the category's own trend by week.
    pub(crate) trend: Vec<f64>,
    /// Log level against the department's.
    pub(crate) level: f64,
    /// Stretches lives.
    pub(crate) pace: f64,
    /// Weeks from the announcement of offers to the first week they hold for.
    pub(crate) notice_weeks: i32,
}

/// A maker, within one department.
#[derive(Debug)]
pub(crate) struct Brand {
    pub(crate) name: String,
    pub(crate) level: f64,
    pub(crate) pace: f64,
    /// Factor of the kind's typical price.
    pub(crate) price: f64,
    /// Factor of the department's rate of promotions.
    pub(crate) promotions: f64,
}

/// The shared part of a marketplace.
#[derive(Debug)]
pub(crate) struct Market {
    pub(crate) config: Config,
    pub(crate) mechanisms: &'static Mechanisms,
    pub(crate) categories: Vec<Category>,
    /// By department.
    pub(crate) brands: Vec<Vec<Brand>>,
}

impl Market {
    /// Draws the market of a configuration.
    pub(crate) fn of(config: &Config) -> Self {
        let mechanisms = Mechanisms::of(config.world);
        let n_weeks = config.weeks as usize + LEAD_WEEKS;
        let kinds =
            mechanisms.departments.iter().enumerate().flat_map(|(department, described)| {
                described.kinds.iter().map(move |kind| (department, kind))
            });
        let categories = kinds.enumerate().map(|(index, (department, kind))| {
            let mut draws = Draws::of(config, "category", index);
            Category::draw(&mut draws, mechanisms, (department, kind), n_weeks)
        });
        let brands = (0..mechanisms.departments.len()).map(|department| {
            let mut draws = Draws::of(config, "brands", department);
            (0..BRANDS).map(|_| Brand::draw(&mut draws)).collect()
        });
        Self {
            config: config.clone(),
            mechanisms,
            categories: categories.collect(),
            brands: brands.collect(),
        }
    }

    /// The department of a category.
    pub(crate) fn department(&self, category: &Category) -> &'static Department {
        &self.mechanisms.departments[category.department]
    }
}

impl Category {
    fn draw(
        draws: &mut Draws,
        mechanisms: &Mechanisms,
        (department, kind): (usize, &'static Kind),
        n_weeks: usize,
    ) -> Self {
        let shift = 0.02 * draws.normal();
        let slope = 0.08 * draws.normal() / 52.0;
        let mut log_trend = 0.0;
        let trend = (0..n_weeks).map(|_| {
            // Drifts, but is pulled back: a category neither dies nor takes over the shop.
            log_trend = 0.995 * log_trend + slope + mechanisms.category_drift * draws.normal();
            log_trend.exp()
        });
        let trend = trend.collect();
        Self {
            department,
            kind,
            season: season::factors(kind, mechanisms.season, shift, n_weeks),
            trend,
            level: 0.35 * draws.normal(),
            pace: draws.log_normal(spread(1.0, 0.2)),
            notice_weeks: draws.whole(2, 9) as i32,
        }
    }
}

impl Brand {
    fn draw(draws: &mut Draws) -> Self {
        let (head, tail) = (draws.pick(&BRAND_HEADS), draws.pick(&BRAND_TAILS));
        Self {
            name: format!("{head}{tail}"),
            level: 0.4 * draws.normal(),
            pace: draws.log_normal(spread(1.0, 0.2)),
            price: draws.log_normal(spread(1.0, 0.35)),
            promotions: draws.log_normal(spread(1.0, 0.4)),
        }
    }
}
