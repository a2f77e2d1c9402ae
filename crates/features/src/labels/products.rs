//! What each product sold over all its locations: labels are per product.

use lifecycle::season::{SeasonInput, Seasons};
use lifecycle::trapezoid::Observation;
use lifecycle::{Frequency, Period, ProductId};
use panel::{Channel, History, Panel};

/// A location's share in stock below which its units say nothing.
const IN_STOCK_MIN: f32 = 0.3;

/// One product over its locations, from its launch to the panel's end; where no launch is known,
/// from its first sale: zeros before it are those of a product that nobody offered yet.
#[derive(Debug, Clone)]
pub(super) struct ProductSales {
    pub(super) product: ProductId,
    pub(super) category: Vec<String>,
    pub(super) start: Period,
    pub(super) launch: Option<Period>,
    pub(super) end: Option<Period>,
    /// Units where observed, in multiples of one; NaN where nothing was observed.
    pub(super) units: Vec<f64>,
    /// Share of the running locations that were observed, 0 to 1; 0 below 0.3.
    pub(super) exposures: Vec<f64>,
    /// The data's own stage label, 255 where missing; empty where there is none.
    pub(super) given_stage: Vec<u8>,
}

/// Sums each product's series, in the order of products.
pub(super) fn products(panel: &Panel) -> Vec<ProductSales> {
    let same_product = |one: &History, next: &History| one.series.product == next.series.product;
    panel.histories.chunk_by(same_product).map(|locations| total(panel, locations)).collect()
}

fn total(panel: &Panel, locations: &[History]) -> ProductSales {
    let first = &locations[0];
    let start = locations.iter().map(|history| history.start).min().unwrap_or(first.start);
    let n_periods = usize::try_from(panel.last().since(start) + 1).unwrap_or(0);
    let mut units = vec![0.0; n_periods];
    let mut n_running = vec![0_u32; n_periods];
    let mut n_observed = vec![0_u32; n_periods];
    for history in locations {
        let offset = usize::try_from(history.start.since(start)).unwrap_or(0);
        for (step, sold) in history.channel(Channel::Units).iter().enumerate() {
            let period = history.start.plus(step as i32);
            n_running[offset + step] += 1;
            let in_stock = history.value(Channel::InStock, period);
            if sold.is_finite() && (in_stock.is_nan() || in_stock >= IN_STOCK_MIN) {
                n_observed[offset + step] += 1;
                units[offset + step] += f64::from(*sold) / panel.units_per_one;
            }
        }
    }
    let share = |(observed, running): (&u32, &u32)| {
        let share = f64::from(*observed) / f64::from((*running).max(1));
        if share < f64::from(IN_STOCK_MIN) { 0.0 } else { share }
    };
    let mut exposures: Vec<f64> = n_observed.iter().zip(&n_running).map(share).collect();
    for (units, exposure) in units.iter_mut().zip(&exposures) {
        if *exposure == 0.0 {
            *units = f64::NAN;
        }
    }
    let given_stage = given_stage(locations, start, n_periods);
    let from_launch = first.statics.launch.is_some() || !given_stage.is_empty();
    let first_sale = units.iter().position(|units| *units > 0.0).unwrap_or(0);
    let n_before = if from_launch { 0 } else { first_sale };
    ProductSales {
        product: first.series.product.clone(),
        category: first.statics.category.clone(),
        start: start.plus(n_before as i32),
        launch: first.statics.launch,
        end: first.statics.end,
        units: units.split_off(n_before),
        exposures: exposures.split_off(n_before),
        given_stage,
    }
}

/// The label of the first location that has one, period by period.
fn given_stage(locations: &[History], start: Period, n_periods: usize) -> Vec<u8> {
    if locations.iter().all(|history| history.given_stage.is_empty()) {
        return Vec::new();
    }
    let mut stages = vec![u8::MAX; n_periods];
    for history in locations {
        let offset = usize::try_from(history.start.since(start)).unwrap_or(0);
        for (stage, given) in stages[offset..].iter_mut().zip(&history.given_stage) {
            if *stage == u8::MAX && *given < 5 {
                *stage = *given;
            }
        }
    }
    stages
}

impl ProductSales {
    /// Whether the data brings its own label.
    pub(super) fn is_labelled(&self) -> bool {
        !self.given_stage.is_empty()
    }

    /// The last period of the arrays.
    pub(super) fn last(&self) -> Period {
        self.start.plus(self.units.len() as i32 - 1)
    }

    /// A period's place in the arrays, the first for those before.
    pub(super) fn index(&self, period: Period) -> usize {
        usize::try_from(period.since(self.start)).unwrap_or(0)
    }

    /// At least 15 units and 13 weeks: with less there is no life to read.
    pub(super) fn is_eligible(&self, frequency: Frequency) -> bool {
        let observed = self.units.iter().filter(|units| units.is_finite());
        let (n_periods, units) =
            observed.fold((0, 0.0), |(n_periods, sum), units| (n_periods + 1, sum + units));
        units >= 15.0 && n_periods >= frequency.periods_of_weeks(13)
    }

    /// What the season is estimated from.
    pub(super) fn season_input(&self) -> SeasonInput<'_> {
        SeasonInput { category: &self.category, start: self.start, units: &self.units }
    }

    /// The life in steps of `n` periods (weeks of life for daily data, else single periods).
    pub(super) fn steps(
        &self,
        frequency: Frequency,
        seasons: &Seasons,
        n: usize,
    ) -> Vec<Observation> {
        let season = seasons.season(&self.category);
        let observation = |first: usize| {
            let mut step = Observation { season: 0.0, ..Observation::MASKED };
            for index in first..(first + n).min(self.units.len()) {
                let exposure = self.exposures[index] / n as f64;
                if exposure > 0.0 {
                    let period = self.start.plus(index as i32);
                    step.units += self.units[index];
                    step.exposure += exposure;
                    step.season += exposure * season.index(frequency.season_phase(period));
                }
            }
            if step.exposure <= 0.0 {
                return Observation::MASKED;
            }
            Observation { season: step.season / step.exposure, ..step }
        };
        (0..self.units.len()).step_by(n.max(1)).map(observation).collect()
    }
}
