//! Targets that are wrong on purpose. What a training makes of them says what it learns from: from
//! targets dealt out at random nothing but how often each comes, and from those of another week less
//! than from the right ones. No configuration asks for them; guards of the bench do.

use lifecycle::{Part, Period};
use panel::Cutter;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::config::Config;
use crate::rows::{Row, Rows, Source, Target, is_held_out, known_units, target_at};

/// Which wrong targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// Turns and stages are dealt out anew among the rows that have them, each head and part for
    /// itself; units stay.
    Dealt {
        /// Of the order.
        seed: u64,
    },
    /// All targets are those of an origin so many periods later, or earlier where negative, each
    /// still masked by the split for itself.
    Shifted {
        /// How much later.
        periods: i32,
    },
}

impl Wrong {
    /// Puts the wrong targets in the place of the right ones; rows stay as many as they are.
    pub(crate) fn spoil(self, rows: &mut Rows, source: Source<'_>, config: &Config) {
        match self {
            Self::Dealt { seed } => deal(rows, seed),
            Self::Shifted { periods } => shift(rows, source, config, periods),
        }
    }
}

fn deal(rows: &mut Rows, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let rows = &mut rows.rows;
    let parts: [fn(&mut Row) -> Option<&mut Target>; 2] =
        [|row| row.train.as_mut(), |row| row.validation.as_mut()];
    for head in 0..3 {
        for part in parts {
            let cells = rows.iter_mut().filter_map(|row| part(row)?.turns.get_mut(head));
            deal_out(cells, &mut rng);
        }
    }
    for head in 0..4 {
        for part in parts {
            let cells = rows.iter_mut().filter_map(|row| part(row)?.stages.get_mut(head));
            deal_out(cells, &mut rng);
        }
    }
}

/// Deals the values that are there out anew (Fisher & Yates); who has none gets none.
fn deal_out<'a, T: Copy + 'a>(
    cells: impl Iterator<Item = &'a mut Option<T>>,
    rng: &mut ChaCha8Rng,
) {
    let cells: Vec<&mut T> = cells.filter_map(Option::as_mut).collect();
    let mut values: Vec<T> = cells.iter().map(|cell| **cell).collect();
    for last in (1..values.len()).rev() {
        values.swap(last, rng.random_range(0..=last));
    }
    for (cell, value) in cells.into_iter().zip(values) {
        *cell = value;
    }
}

fn shift(rows: &mut Rows, source: Source<'_>, config: &Config, periods: i32) {
    let cutter = Cutter::new(source.meta, source.categories, source.fitted);
    for row in &mut rows.rows {
        let of_series = |history: &panel::History| history.series.cmp(&row.window.series);
        let found = source.histories.binary_search_by(of_series);
        let Ok(found) = found else { continue };
        let history = &source.histories[found];
        let origin: Period = row.window.origin.plus(periods);
        let all = cutter.targets(history, origin);
        let held_out = is_held_out(history, config);
        let window = &row.window;
        let later = |target: Option<Target>, part| {
            let weight = target?.weight;
            let target = target_at(source, (window, origin), &all, (part, held_out));
            (!target.is_empty()).then_some(Target { weight, ..target })
        };
        row.train = later(row.train.take(), Part::Train);
        row.validation = later(row.validation.take(), Part::Validation);
        if !row.known.is_empty() {
            row.known = known_units(source, origin, &all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_dealt_out_among_those_that_have_one() {
        let mut cells: Vec<Option<usize>> =
            (0..300).map(|at| (at % 3 != 0).then_some(at)).collect();
        let before = cells.clone();
        deal_out(cells.iter_mut(), &mut ChaCha8Rng::seed_from_u64(1));
        let same = cells.iter().zip(&before).filter(|(now, then)| now == then && now.is_some());
        assert!(same.count() < 10);
        assert!(cells.iter().zip(&before).all(|(now, then)| now.is_some() == then.is_some()));
        let sorted = |cells: &[Option<usize>]| {
            let mut values: Vec<usize> = cells.iter().copied().flatten().collect();
            values.sort_unstable();
            values
        };
        assert_eq!(sorted(&cells), sorted(&before));
    }
}
