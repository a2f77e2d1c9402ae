//! What a shop writes down of what happened: which columns it has, what it has lost, in which units
//! it counts, and the slips and one-off orders among them.

use std::ops::Range;

use lifecycle::Stage;

use super::calendar::Calendar;
use super::ranges;
use crate::draws::Draws;

/// In which periods a column holds a number.
///
/// A list is kept for all products or for those on sale; a till knows a price or a discount only
/// where something was sold. All must be met, or an empty cell would tell of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Always,
    OnSale,
    WhereSold,
    Never,
}

const KEPT: [Kept; 4] = [Kept::Always, Kept::OnSale, Kept::WhereSold, Kept::Never];

impl Kept {
    fn draw(draws: &mut Draws, weights: &[f64; KEPT.len()]) -> Self {
        KEPT[draws.weighted(weights)]
    }

    fn holds(self, event: &Event) -> bool {
        match self {
            Self::Always => true,
            Self::OnSale => event.is_on_sale,
            Self::WhereSold => event.units > 0.0,
            Self::Never => false,
        }
    }
}

/// What is written down of each period, beside units.
#[derive(Debug, Clone, Copy)]
struct Columns {
    prices: Kept,
    promotions: Kept,
    has_stock: bool,
}

/// Lines of a till by which a share is told, at most.
const LINES_MAX: f64 = 12.0;

/// Which dates of a life are written down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dates {
    pub(crate) has_launch: bool,
    pub(crate) has_end: bool,
}

/// How a shop keeps its books.
#[derive(Debug, Clone)]
pub(crate) struct Books {
    columns: Columns,
    pub(crate) dates: Dates,
    /// Nothing is written once a product is taken off.
    pub(crate) stops: bool,
    /// Share of cells lost one by one.
    holes: f64,
    /// Periods lost altogether.
    gap: Range<usize>,
    /// Slips and one-off orders per year.
    slips: f64,
    /// How many of its units one unit is.
    scale: f64,
}

/// What happened to a life in one period.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) index: usize,
    pub(crate) is_on_sale: bool,
    pub(crate) units: f64,
    pub(crate) in_stock: f64,
    pub(crate) price: f64,
    pub(crate) promotion: f64,
    pub(crate) stage: Stage,
}

/// A row of the panel; a number that is not known is NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cell {
    pub(crate) units: f64,
    pub(crate) in_stock: f64,
    pub(crate) price: f64,
    pub(crate) promotion: f64,
    pub(crate) stage: Stage,
}

impl Cell {
    /// Whether its units say what could be sold, by the rule that panels are read by: known, and in
    /// stock for three tenths of the time at least.
    pub(crate) fn is_observed(&self) -> bool {
        !self.units.is_nan() && (self.in_stock.is_nan() || self.in_stock >= 0.3)
    }
}

impl Books {
    pub(crate) fn draw(draws: &mut Draws, calendar: &Calendar) -> Self {
        let prices = Kept::draw(draws, &ranges::PRICES_KEPT);
        let is_holed = draws.chance(ranges::HOLED_SHOPS);
        let holes = ranges::HOLES.draw(draws);
        let gap_start = draws.whole(0, calendar.n_periods as i64 - 1) as usize;
        let gap = calendar.periods(ranges::GAP_WEEKS.draw(draws));
        let has_gap = is_holed && draws.chance(0.5);
        let slips = draws.chance(ranges::SLIP_SHOPS);
        let is_scaled = draws.chance(ranges::SCALED_SHOPS);
        Self {
            columns: Columns {
                prices,
                promotions: Kept::draw(draws, &ranges::PROMOTIONS_KEPT),
                has_stock: draws.chance(ranges::STOCK_KNOWN_SHOPS),
            },
            dates: Dates {
                has_launch: draws.chance(ranges::LAUNCH_KNOWN_SHOPS),
                has_end: draws.chance(ranges::END_KNOWN_SHOPS),
            },
            stops: draws.chance(ranges::STOPPING_SHOPS),
            holes: if is_holed { holes } else { 0.0 },
            gap: gap_start..if has_gap { gap_start + gap } else { gap_start },
            slips: if slips { ranges::SLIPS.draw(draws) } else { 0.0 },
            scale: if is_scaled { ranges::SCALE.draw(draws) } else { 1.0 },
        }
    }

    /// Units of a slip or a one-off order in a period, nearly always none.
    pub(crate) fn slip(&self, draws: &mut Draws, calendar: &Calendar, peak_units: f64) -> f64 {
        if self.slips == 0.0 || !draws.chance(calendar.chance(self.slips)) {
            return 0.0;
        }
        peak_units * ranges::SLIP_WEEKS.draw(draws) + 1.0
    }

    /// The row that the shop has of it.
    pub(crate) fn cell(&self, draws: &mut Draws, event: Event) -> Cell {
        let Event { index, is_on_sale, units, in_stock, price, promotion, stage } = event;
        let is_lost = self.gap.contains(&index) || (self.holes > 0.0 && draws.chance(self.holes));
        let known = |is_known: bool, value: f64| if is_known { value } else { f64::NAN };
        let promotion = match self.columns.promotions {
            Kept::WhereSold => discounted(draws, units, promotion),
            _ => promotion,
        };
        Cell {
            units: known(!is_lost, self.scaled(units)),
            in_stock: known(self.columns.has_stock && is_on_sale, (1e3 * in_stock).round() / 1e3),
            price: known(self.columns.prices.holds(&event) && !is_lost, price),
            promotion: known(self.columns.promotions.holds(&event), promotion),
            stage,
        }
    }

    /// Units as the shop counts them, to four digits behind the point.
    fn scaled(&self, units: f64) -> f64 {
        if self.scale == 1.0 { units } else { (1e4 * self.scale * units).round() / 1e4 }
    }
}

/// Share of the units sold that a till sees discounted, of a period so much of which was under
/// promotion.
fn discounted(draws: &mut Draws, units: f64, promotion: f64) -> f64 {
    let n_lines = units.clamp(1.0, LINES_MAX).round();
    let n_discounted = (0..n_lines as usize).filter(|_| draws.chance(promotion)).count();
    n_discounted as f64 / n_lines
}

#[cfg(test)]
mod tests {
    use lifecycle::Frequency;

    use super::*;
    use crate::lives::Config;

    #[test]
    fn shops_differ_in_what_they_know_lose_and_scale() {
        let config = Config { lives: 1, frequency: Frequency::Week, seed: 1 };
        let calendar = Calendar::draw(&config);
        let mut shares = [0.0; 7];
        for shop in 0..400 {
            let mut draws = config.draws("books", shop);
            let books = Books::draw(&mut draws, &calendar);
            let event = Event {
                index: 100,
                is_on_sale: true,
                units: 7.0,
                in_stock: 0.5,
                price: 2.0,
                promotion: 0.0,
                stage: Stage::Growth,
            };
            let cells: Vec<Cell> =
                (0..200).map(|index| books.cell(&mut draws, Event { index, ..event })).collect();
            let lost = cells.iter().filter(|cell| cell.units.is_nan()).count();
            let cell = books.cell(&mut draws, Event { index: usize::MAX, ..event });
            let slips = (0..200).any(|_| books.slip(&mut draws, &calendar, 5.0) > 0.0);
            let after = Event { is_on_sale: false, units: 0.0, ..event };
            let cell_after = books.cell(&mut draws, after);
            assert!(cell_after.in_stock.is_nan());
            let is_listed = books.columns.prices == Kept::Always;
            assert_eq!(cell_after.price.is_nan(), !is_listed);
            let unsold = books.cell(&mut draws, Event { units: 0.0, index: usize::MAX, ..event });
            let is_known = matches!(books.columns.promotions, Kept::Always | Kept::OnSale);
            assert_eq!(unsold.promotion.is_nan(), !is_known);
            let found = [
                !cell.in_stock.is_nan(),
                !cell.price.is_nan(),
                !cell.promotion.is_nan(),
                lost > 0,
                slips,
                books.scale != 1.0,
                books.stops,
            ];
            for (share, found) in shares.iter_mut().zip(found) {
                *share += f64::from(u8::from(found)) / 400.0;
            }
        }
        let ranges = [
            (0.25, 0.45),
            (0.6, 0.8),
            (0.5, 0.7),
            (0.1, 0.3),
            (0.05, 0.35),
            (0.02, 0.12),
            (0.08, 0.25),
        ];
        for (share, (low, high)) in shares.into_iter().zip(ranges) {
            assert!((low..high).contains(&share), "{shares:?}");
        }
    }
}
