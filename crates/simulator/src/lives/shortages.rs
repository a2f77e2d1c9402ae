//! Stock-outs: runs of time in which nothing can be sold, likelier where demand is high.

use super::calendar::Calendar;
use super::course::Course;
use super::offers::shares;
use super::ranges;
use crate::draws::Draws;

/// How a shop keeps stock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shortages {
    per_year: f64,
    weeks: f64,
}

impl Shortages {
    pub(crate) fn draw(draws: &mut Draws) -> Self {
        let has_any = draws.chance(ranges::SHORTAGE_SHOPS);
        Self {
            per_year: if has_any { ranges::SHORTAGES.draw(draws) } else { 0.0 },
            weeks: ranges::SHORTAGE_WEEKS.draw(draws),
        }
    }

    /// Draws the share of each period in stock. Shape `[n_periods]`.
    pub(crate) fn in_stock(
        &self,
        draws: &mut Draws,
        calendar: &Calendar,
        course: &Course,
    ) -> Vec<f64> {
        let mut in_stock = vec![1.0; calendar.n_periods];
        if self.per_year == 0.0 {
            return in_stock;
        }
        let weeks_max = calendar.n_periods as f64 * calendar.weeks;
        let mut from = 0.0;
        loop {
            from += draws.exponential(365.25 / 7.0 / (1.6 * self.per_year));
            if from >= weeks_max {
                return in_stock;
            }
            let level = course.level((from / calendar.weeks) as usize).min(1.0);
            let length = draws.exponential(self.weeks);
            if draws.chance(0.3 + 0.7 * level) {
                for (index, share) in shares(calendar, from, length) {
                    in_stock[index] = f64::max(in_stock[index] - share, 0.0);
                }
                from += length;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::Frequency;

    use super::*;
    use crate::lives::Config;
    use crate::lives::course::Courses;

    #[test]
    fn shortages_take_as_much_time_at_any_frequency() {
        for frequency in [Frequency::Day, Frequency::Week, Frequency::Month] {
            let calendar = Calendar::draw(&Config { lives: 1, frequency, seed: 1 });
            let out = |shortages: Shortages| {
                let mut draws = Draws::named("shortages");
                let courses = Courses::draw(&mut draws);
                let lives = (0..200).map(|_| {
                    let course = courses.course(&mut draws, &calendar, false);
                    let in_stock = shortages.in_stock(&mut draws, &calendar, &course);
                    assert!(in_stock.iter().all(|share| (0.0..=1.0).contains(share)));
                    1.0 - in_stock.iter().sum::<f64>() / in_stock.len() as f64
                });
                lives.sum::<f64>() / 200.0
            };
            assert_eq!(out(Shortages { per_year: 0.0, weeks: 4.0 }), 0.0);
            let share = out(Shortages { per_year: 2.0, weeks: 4.0 });
            assert!((0.05..0.25).contains(&share), "{frequency:?}: {share}");
        }
    }
}
