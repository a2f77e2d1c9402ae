//! One life: from its draws to the rows that its shop has of it.

use lifecycle::{Day, Stage};

use super::books::{Books, Cell, Event};
use super::calendar::Calendar;
use super::config::Config;
use super::counts::Counts;
use super::course::Course;
use super::offers::Offers;
use super::ranges;
use super::shop::{Category, Shop};
use crate::draws::Draws;

/// Lives drawn until one sells within the panel; from the middle on they begin within it.
const TRIES_MAX: usize = 12;
/// Highest expected units a week.
const EXPECTED_MAX: f64 = 1e6;

/// What a shop has written down of a life.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Life {
    pub(crate) category: usize,
    /// Period of the first row.
    pub(crate) first: usize,
    pub(crate) cells: Vec<Cell>,
    pub(crate) launch: Option<Day>,
    pub(crate) end: Option<Day>,
}

/// All that was drawn of a life before it is lived.
struct Plan<'a> {
    calendar: &'a Calendar,
    books: &'a Books,
    category: &'a Category,
    course: Course,
    stages: Vec<Stage>,
    peak_units: f64,
    seasonality: f64,
    wander: Vec<f64>,
    offers: Offers,
    in_stock: Vec<f64>,
    counts: Counts,
}

impl Life {
    /// Simulates the `index`th life, from a stream of its own.
    pub(crate) fn of(config: &Config, calendar: &Calendar, shop: &Shop, index: usize) -> Self {
        let mut draws = config.draws("life", index);
        let mut life = Self::draw(&mut draws, calendar, shop, false);
        for attempt in 1..TRIES_MAX {
            if life.cells.iter().any(|cell| cell.units > 0.0) {
                break;
            }
            life = Self::draw(&mut draws, calendar, shop, attempt >= TRIES_MAX / 2);
        }
        life
    }

    fn draw(draws: &mut Draws, calendar: &Calendar, shop: &Shop, within: bool) -> Self {
        let (number, category) = shop.category(draws);
        let course = shop.courses.course(draws, calendar, within);
        let counts = shop.buying.counts(draws, calendar);
        let plan = Plan {
            calendar,
            books: &shop.books,
            category,
            stages: course.stages(calendar.n_periods),
            peak_units: counts.scaled(category.level * shop.levels.peak(draws)),
            seasonality: ranges::SEASONALITY.draw(draws),
            wander: shop.levels.wander(draws, calendar),
            offers: shop.pricing.offers(draws, calendar, &course),
            in_stock: shop.shortages.in_stock(draws, calendar, &course),
            counts,
            course,
        };
        plan.lived(draws, number)
    }
}

impl Plan<'_> {
    fn lived(mut self, draws: &mut Draws, category: usize) -> Life {
        let first = self.course.first();
        let n_periods = self.calendar.n_periods as i32;
        let end = self.course.end().filter(|end| (0..n_periods).contains(end));
        let stop = end.filter(|_| self.books.stops).map_or(n_periods, |end| end.max(1)) as usize;
        let mut cells: Vec<Cell> =
            (first..stop.max(first + 1)).map(|index| self.cell(draws, index)).collect();
        // Whoever does not know the launch has a first row where something was sold.
        let n_before = if self.books.dates.has_launch {
            0
        } else {
            cells.iter().position(|cell| cell.units > 0.0).unwrap_or(0)
        };
        cells.drain(..n_before);
        let day = |period: i32| {
            let start = self.calendar.start;
            self.calendar.frequency.first_day(start.plus(period))
        };
        Life {
            category,
            first: first + n_before,
            cells,
            launch: self.books.dates.has_launch.then(|| day(self.course.launch())),
            end: end.filter(|_| self.books.dates.has_end).map(day),
        }
    }

    fn cell(&mut self, draws: &mut Draws, index: usize) -> Cell {
        let is_on_sale = self.course.is_on_sale(index);
        let in_stock = self.in_stock[index];
        let mut units = 0.0;
        if is_on_sale {
            let log = self.category.log_factor(index, self.seasonality)
                + self.wander[index]
                + self.offers.effects[index];
            let weekly = self.peak_units * self.course.level(index) * log.exp();
            let expected = weekly.min(EXPECTED_MAX) * self.calendar.weeks * in_stock;
            units = self.counts.next(draws, expected);
            if in_stock > 0.0 {
                let slip = self.books.slip(draws, self.calendar, self.peak_units);
                units += self.counts.whole(slip);
            }
        }
        let event = Event {
            index,
            is_on_sale,
            units,
            in_stock,
            price: self.offers.prices[index],
            promotion: self.offers.promotions[index],
            stage: self.stages[index - self.course.first()],
        };
        self.books.cell(draws, event)
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::Frequency;

    use super::*;

    #[test]
    fn a_life_has_a_row_for_each_period_and_sells_only_while_on_sale_and_in_stock() {
        for frequency in [Frequency::Day, Frequency::Week, Frequency::Month] {
            let config = Config { lives: 1, frequency, seed: 3 };
            let calendar = Calendar::draw(&config);
            let (mut n_sold, mut n_launches, mut n_ends, mut n_stopped) = (0, 0, 0, 0);
            for index in 0..120 {
                let shop = Shop::draw(&config, &calendar, index / 2);
                let life = Life::of(&config, &calendar, &shop, index);
                assert!(!life.cells.is_empty());
                let last = life.first + life.cells.len();
                assert!(last <= calendar.n_periods);
                for cell in &life.cells {
                    assert!(cell.units.is_nan() || cell.units >= 0.0);
                    assert!(cell.price.is_nan() || cell.price > 0.0);
                    assert!(cell.in_stock != 0.0 || cell.units.is_nan() || cell.units == 0.0);
                }
                n_sold += i32::from(life.cells.iter().any(|cell| cell.units > 0.0));
                n_launches += i32::from(life.launch.is_some());
                n_ends += i32::from(life.end.is_some());
                n_stopped += i32::from(last < calendar.n_periods);
            }
            assert!(n_sold > 115, "{n_sold}");
            assert!((10..110).contains(&n_launches), "{n_launches}");
            assert!(n_ends > 0 && n_stopped > 0, "{n_ends} {n_stopped}");
        }
    }
}
