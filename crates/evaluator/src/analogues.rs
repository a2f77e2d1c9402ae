//! What others would say of a product with hardly any history: what like products sold at its age.
//!
//! Two rules of thumb for cold starts, from launches of training products up to the cut. Both say,
//! for each week of life, mean and quantiles of what some launches sold in it, scaled by what the
//! product has sold so far over what they had by then (both padded with two usual weeks, so that one
//! good week is not the rule). They differ in whose launches: of the products most alike by category,
//! brand and price, or of the whole category, whose mean is its launch curve.

use std::collections::BTreeSet;

use lifecycle::{LEVELS, N_LEVELS, Period, ProductId, Split, UnitsForecast};
use panel::{Channel, History, PanelMeta};

use crate::known::known_units;
use crate::rules::quantile;

/// Launches that are most alike.
const N_NEAREST: usize = 20;

/// Launches that a category needs; with fewer its parent stands in.
const N_CATEGORY_MIN: usize = 10;

/// Launches that must have reached a period of life.
const N_REACHED_MIN: usize = 5;

/// A series that was there in the first weeks of the data may have been launched long before.
const CENSORED_WEEKS: u32 = 8;

/// Weeks after a launch that must lie before the cut.
const SEEN_WEEKS: u32 = 4;

/// Usual weeks that sales so far are padded with.
const PADDING_WEEKS: f64 = 2.0;

/// What a step of the category path counts beside a factor e in price.
const CATEGORY_STEP: f64 = 1.0;
/// The same of another brand.
const OTHER_BRAND: f64 = 0.5;
/// The same of a price that one of the two does not have.
const UNKNOWN_PRICE: f64 = 1.0;

/// The launch of a training product.
#[derive(Debug, Clone)]
struct Launch {
    category: Vec<String>,
    brand: Option<String>,
    price: Option<f64>,
    /// Units by period of life, NaN where not observed.
    units: Vec<f32>,
}

/// Launches of training products, as known at the cut.
#[derive(Debug, Clone, Default)]
pub(crate) struct Analogues {
    launches: Vec<Launch>,
    n_padding: f64,
}

impl Analogues {
    /// The launches of seen products that the cut knows some weeks of.
    pub(crate) fn new(
        meta: &PanelMeta,
        split: &Split,
        histories: &[History],
        unseen: &BTreeSet<ProductId>,
    ) -> Self {
        let weeks = |weeks| meta.frequency.periods_of_weeks(weeks);
        let cut = split.last_training_period();
        let is_launch = |history: &&History| {
            history.start.since(meta.start) >= weeks(CENSORED_WEEKS) as i32
                && cut.since(history.start) + 1 >= weeks(SEEN_WEEKS) as i32
                && !unseen.contains(&history.series.product)
        };
        let launch = |history: &History| Launch {
            category: history.statics.category.clone(),
            brand: history.statics.brand.clone(),
            price: price(history, cut),
            units: known_units(history, cut, true),
        };
        Self {
            launches: histories.iter().filter(is_launch).map(launch).collect(),
            n_padding: PADDING_WEEKS * weeks(1) as f64,
        }
    }

    /// Number of launches.
    pub(crate) fn n_launches(&self) -> usize {
        self.launches.len()
    }

    /// By the launches most alike; `None` without any.
    pub(crate) fn nearest(
        &self,
        history: &History,
        origin: Period,
        n_steps: usize,
    ) -> Option<UnitsForecast> {
        let own = price(history, origin);
        let mut by_distance: Vec<(f64, usize)> = self
            .launches
            .iter()
            .enumerate()
            .map(|(at, launch)| (launch.distance(history, own), at))
            .collect();
        by_distance.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        let nearest = by_distance.into_iter().take(N_NEAREST).map(|(_, at)| &self.launches[at]);
        self.forecast(&nearest.collect::<Vec<_>>(), history, origin, n_steps)
    }

    /// By the launches of the category, or of the nearest ancestor that has enough of them.
    pub(crate) fn of_category(
        &self,
        history: &History,
        origin: Period,
        n_steps: usize,
    ) -> Option<UnitsForecast> {
        let path = &history.statics.category;
        let below = |depth: usize| {
            let is_below = |launch: &&Launch| launch.category.starts_with(&path[..depth]);
            self.launches.iter().filter(is_below).collect::<Vec<&Launch>>()
        };
        let depths = (0..=path.len()).rev().map(below);
        let launches = depths.into_iter().find(|found| found.len() >= N_CATEGORY_MIN);
        self.forecast(&launches.unwrap_or_else(|| below(0)), history, origin, n_steps)
    }

    fn forecast(
        &self,
        launches: &[&Launch],
        history: &History,
        origin: Period,
        n_steps: usize,
    ) -> Option<UnitsForecast> {
        let own = known_units(history, origin, true);
        let last = last_period(launches)?;
        let at = |period: usize| {
            let mut units: Vec<f32> = launches
                .iter()
                .filter_map(|launch| launch.units.get(period.min(last)).copied())
                .filter(|units| units.is_finite())
                .collect();
            units.sort_by(f32::total_cmp);
            units
        };
        let mean = |units: &[f32]| {
            units.iter().map(|units| f64::from(*units)).sum::<f64>() / units.len().max(1) as f64
        };
        let (mut sold, mut usual, mut n_observed) = (0.0, 0.0, 0.0);
        for (period, units) in own.iter().enumerate().filter(|(_, units)| units.is_finite()) {
            sold += f64::from(*units);
            usual += mean(&at(period));
            n_observed += 1.0;
        }
        let level = if n_observed > 0.0 { usual / n_observed } else { 0.0 };
        let padding = self.n_padding * level;
        let ratio = if usual > 0.0 { (sold + padding) / (usual + padding) } else { 1.0 };
        let mut forecast = UnitsForecast::default();
        for step in 0..n_steps {
            let units = at(own.len() + step);
            forecast.means.push((ratio * mean(&units)) as f32);
            let of_level = |level: f64| ratio as f32 * quantile(&units, level).unwrap_or(0.0);
            forecast.quantiles.extend::<[f32; N_LEVELS]>(LEVELS.map(of_level));
        }
        Some(forecast)
    }
}

impl Launch {
    /// How far from a product, in factors e of price.
    fn distance(&self, history: &History, own_price: Option<f64>) -> f64 {
        let path = &history.statics.category;
        let n_common = path.iter().zip(&self.category).take_while(|(one, other)| one == other);
        let n_apart = path.len() - n_common.count();
        let brands = (&history.statics.brand, &self.brand);
        let brand = if brands.0 == brands.1 { 0.0 } else { OTHER_BRAND };
        let price = match (own_price, self.price) {
            (Some(own), Some(other)) => (own / other).ln().abs(),
            _ => UNKNOWN_PRICE,
        };
        CATEGORY_STEP * n_apart as f64 + brand + price
    }
}

/// The last period of life that some launches have reached; all later ones are as that.
fn last_period(launches: &[&Launch]) -> Option<usize> {
    let mut lengths: Vec<usize> = launches.iter().map(|launch| launch.units.len()).collect();
    lengths.sort_unstable();
    let place = lengths.len().saturating_sub(N_REACHED_MIN);
    lengths.get(place)?.checked_sub(1)
}

/// The first price that is known by an origin.
fn price(history: &History, origin: Period) -> Option<f64> {
    let n_known = usize::try_from(origin.since(history.start) + 1).unwrap_or(0);
    let known = history.channel(Channel::Price).iter().take(n_known);
    known.map(|price| f64::from(*price)).find(|price| *price > 0.0)
}

#[cfg(test)]
mod tests {
    use lifecycle::Frequency;
    use panel::{Panel, Settings};

    use super::*;
    use crate::known::tests::history;

    /// Twelve cheap products that sell 2 a week and twelve dear ones that sell 10, launched in week
    /// 20 of 104, and one that was there from the start.
    fn shop() -> (Panel, Split) {
        let product = |number: usize| {
            let (units, price, category) =
                if number < 12 { (2.0, 1.0, "cups") } else { (10.0, 20.0, "pots") };
            let mut history = history(&format!("p{number:02}"), 20, &[units; 84]);
            history.channels[Channel::Price as usize] = vec![price; 84];
            history.statics.category = vec![category.to_owned()];
            history
        };
        let mut histories: Vec<History> = (0..24).map(product).collect();
        histories.push(history("q", 0, &[500.0; 104]));
        let panel = Panel {
            frequency: Frequency::Week,
            start: Period(0),
            n_periods: 104,
            units_per_one: 1.0,
            share_depth: 0,
            all_lives_ended: false,
            histories,
        };
        let split = Split::new(Frequency::Week, Period(0), 104, 13).expect("long enough");
        (panel, split)
    }

    fn analogues(unseen: &[&str]) -> Analogues {
        let (panel, split) = shop();
        let unseen = unseen.iter().map(|id| (*id).into()).collect();
        let meta = panel.meta(Settings { context: 52, horizon: 13 });
        Analogues::new(&meta, &split, &panel.histories, &unseen)
    }

    /// A new product at the end of its first weeks.
    fn young(category: &str, price: f32, units: &[f32]) -> History {
        let mut young = history("z", 80, units);
        young.channels[Channel::Price as usize] = vec![price; units.len()];
        young.statics.category = vec![category.to_owned()];
        young
    }

    #[test]
    fn launches_are_of_seen_products_that_were_not_there_from_the_start() {
        assert_eq!(analogues(&[]).n_launches(), 24);
        assert_eq!(analogues(&["p00", "p13"]).n_launches(), 22);
        assert!(Analogues::default().nearest(&young("cups", 1.0, &[]), Period(79), 3).is_none());
    }

    #[test]
    fn who_has_sold_nothing_yet_is_as_its_category_and_as_the_most_alike() {
        let analogues = analogues(&[]);
        let unsold = young("pots", 20.0, &[]);
        let category = analogues.of_category(&unsold, Period(79), 3).expect("launches");
        assert_eq!(
            (category.means.len(), category.means[0], category.quantiles[6]),
            (3, 10.0, 10.0)
        );
        // Of an unknown category all launches stand in, and the price is not known before a sale.
        let unknown = analogues.of_category(&young("jars", 1.0, &[]), Period(79), 1);
        assert_eq!(unknown.expect("launches").means, [6.0]);
        let sold = young("jars", 1.0, &[2.0, 2.0]);
        let nearest = analogues.nearest(&sold, Period(81), 2).expect("launches");
        // Twelve of the twenty sell 2, the others 10; the product sells as the twelve.
        assert_eq!(nearest.quantiles_at(0)[0], nearest.quantiles_at(0)[6]);
        assert!((1.0..4.0).contains(&nearest.means[0]), "{:?}", nearest.means);
    }

    #[test]
    fn sales_so_far_scale_what_is_expected() {
        let analogues = analogues(&[]);
        let good = young("cups", 1.0, &[8.0, 8.0]);
        let forecast = analogues.of_category(&good, Period(81), 1).expect("launches");
        // Two weeks of 8 and two usual ones of 2 over four usual ones.
        assert!((forecast.means[0] - 2.0 * 20.0 / 8.0).abs() < 1e-5);
        assert_eq!(forecast.validate(), Ok(()));
    }
}
