//! Which sale a cancellation undoes.
//!
//! A cancellation undoes the latest sale that is not yet undone, of the same series, customer (or
//! order) and quantity, at most so many days before it. What undoes nothing is a return.

use std::collections::BTreeMap;

use super::sales::Placed;
use crate::rows::{Line, LineKind};

/// How cancellations ended.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CancellationCounts {
    pub(crate) matched: u64,
    pub(crate) unmatched: u64,
}

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Stands,
    /// It undoes the sale at this position.
    Undoes {
        sale: usize,
    },
}

/// The fate of each line of a series; lines are sorted by time, sales before cancellations.
pub(super) fn fates(lines: &[Placed], by: impl Fn(&Line) -> u64, within_days: i32) -> Vec<Fate> {
    let mut open: BTreeMap<(u64, u64), Vec<usize>> = BTreeMap::new();
    let mut fates = vec![Fate::Stands; lines.len()];
    for (position, Placed { line, .. }) in lines.iter().enumerate() {
        let id = by(line);
        if id == 0 || line.kind == LineKind::Return {
            continue;
        }
        let sales = open.entry((id, line.units.to_bits())).or_default();
        if line.kind == LineKind::Sale {
            sales.push(position);
            continue;
        }
        let in_time =
            |sale: &mut usize| line.at.day().0 - lines[*sale].line.at.day().0 <= within_days;
        if let Some(sale) = sales.pop_if(in_time) {
            fates[position] = Fate::Undoes { sale };
        }
    }
    fates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moments::Moment;
    use crate::spill::Place;

    /// (day, kind, units, customer)
    fn check(rows: &[(i64, LineKind, f64, u64)], expected: &[Option<usize>]) {
        let lines: Vec<Placed> = rows
            .iter()
            .map(|&(day, kind, units, customer)| Placed {
                series: 0,
                place: Place::default(),
                line: Line {
                    at: Moment(day * 86_400_000_000),
                    kind,
                    units,
                    price: 1.0,
                    discount: f64::NAN,
                    order: 0,
                    customer,
                    texts: 0,
                    removes_duplicates: false,
                },
            })
            .collect();
        let undone: Vec<Option<usize>> = fates(&lines, |line| line.customer, 7)
            .into_iter()
            .map(|fate| match fate {
                Fate::Stands => None,
                Fate::Undoes { sale } => Some(sale),
            })
            .collect();
        assert_eq!(undone, expected);
    }

    #[test]
    fn customer_quantity_and_time_must_match() {
        use LineKind::{Cancellation as C, Return as R, Sale as S};
        check(&[(0, S, 5.0, 1), (7, C, 5.0, 1)], &[None, Some(0)]);
        check(&[(0, S, 5.0, 1), (8, C, 5.0, 1)], &[None, None]);
        check(&[(0, S, 5.0, 1), (1, C, 4.0, 1)], &[None, None]);
        check(&[(0, S, 5.0, 1), (1, C, 5.0, 2)], &[None, None]);
        check(&[(0, S, 5.0, 0), (1, C, 5.0, 0)], &[None, None]);
        check(&[(0, S, 5.0, 1), (1, R, 5.0, 1)], &[None, None]);
    }

    #[test]
    fn each_sale_is_undone_once_the_latest_first() {
        use LineKind::{Cancellation as C, Sale as S};
        check(
            &[(0, S, 5.0, 1), (1, S, 5.0, 1), (2, C, 5.0, 1), (3, C, 5.0, 1), (4, C, 5.0, 1)],
            &[None, None, Some(1), Some(0), None],
        );
    }
}
