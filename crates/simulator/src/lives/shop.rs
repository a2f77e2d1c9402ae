//! A shop: what its lives have in common, drawn once.

use super::books::Books;
use super::calendar::Calendar;
use super::climate::Climate;
use super::config::Config;
use super::counts::Buying;
use super::course::Courses;
use super::level::Levels;
use super::offers::Pricing;
use super::ranges;
use super::shortages::Shortages;
use super::trend::Trend;
use crate::draws::{Draws, spread};

/// A category of a shop.
#[derive(Debug, Clone)]
pub(crate) struct Category {
    /// Logarithm of season and trend of shop and category together. Shape `[n_periods]`.
    season: Vec<f64>,
    trend: Vec<f64>,
    /// Share of the shop's lives.
    weight: f64,
    /// Factor of its lives' levels.
    pub(crate) level: f64,
}

/// A group of lives with a calendar, categories and habits in common.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    categories: Vec<Category>,
    pub(crate) courses: Courses,
    pub(crate) levels: Levels,
    pub(crate) buying: Buying,
    pub(crate) pricing: Pricing,
    pub(crate) shortages: Shortages,
    pub(crate) books: Books,
}

impl Category {
    fn draw(draws: &mut Draws, calendar: &Calendar, shared: (&Climate, &Trend, &[f64])) -> Self {
        let (climate, trend, of_shop) = shared;
        let own = trend.path(draws, calendar);
        Self {
            season: climate.season(draws, calendar),
            trend: own.iter().zip(of_shop).map(|(own, of_shop)| own + of_shop).collect(),
            weight: draws.log_normal(spread(1.0, 0.8)),
            level: draws.log_normal(spread(1.0, 0.5)),
        }
    }

    /// Logarithm of demand's common part in a period, for a life of this seasonality.
    pub(crate) fn log_factor(&self, index: usize, seasonality: f64) -> f64 {
        seasonality * self.season[index] + self.trend[index]
    }
}

impl Shop {
    /// Draws the `index`th shop.
    pub(crate) fn draw(config: &Config, calendar: &Calendar, index: usize) -> Self {
        let mut draws = config.draws("shop", index);
        let climate = Climate::draw(&mut draws);
        let (trend, of_categories) = (Trend::draw(&mut draws), Trend::draw(&mut draws));
        let of_shop = trend.path(&mut draws, calendar);
        let n_categories = ranges::CATEGORIES.draw(&mut draws) as usize;
        let shared = (&climate, &of_categories, &of_shop[..]);
        let categories =
            (0..n_categories).map(|_| Category::draw(&mut draws, calendar, shared)).collect();
        Self {
            categories,
            courses: Courses::draw(&mut draws),
            levels: Levels::draw(&mut draws, config.frequency),
            buying: Buying::draw(&mut draws),
            pricing: Pricing::draw(&mut draws),
            shortages: Shortages::draw(&mut draws),
            books: Books::draw(&mut draws, calendar),
        }
    }

    /// Draws a life's category: its number and what it is like.
    pub(crate) fn category(&self, draws: &mut Draws) -> (usize, &Category) {
        let weights: Vec<f64> = self.categories.iter().map(|category| category.weight).collect();
        let number = draws.weighted(&weights);
        (number, &self.categories[number])
    }
}
