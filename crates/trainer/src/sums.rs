//! How tightly steps hang together, judged by what is bought with it: units of several steps.
//!
//! Ranks of counts are drawn at random within the mass of a count, so correlations of ranks are too
//! low where sales are rare, and what moves a whole season is in few rows. The share that is missing
//! is chosen by the losses of cumulative units on validation rows.

use lifecycle::{LEVELS, N_LEVELS, WQL_LEVELS};
use model::{Dependence, N_UNIT_OUTPUTS, Workers, quantiles};

use crate::losses::pinball;
use crate::rows::Row;

/// Shares tried.
const SHARES: [f32; 8] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75];

/// Rows that they are tried on, at most.
const ROWS_MAX: usize = 1500;

/// Steps that a row must know to say anything of sums.
const STEPS_MIN: usize = 3;

/// A fitted dependence with the share that loses least on these rows of raw outputs.
pub(crate) fn tightened(
    fitted: &Dependence,
    rows: &[(&[f32], &Row)],
    is_whole: bool,
    workers: &Workers,
) -> Dependence {
    let rows: Vec<_> = rows.iter().filter(|(_, row)| n_known(row) >= STEPS_MIN).collect();
    let rows: Vec<_> = rows.iter().step_by(rows.len().div_ceil(ROWS_MAX).max(1)).collect();
    let losses = workers.map(&SHARES, |_, share| {
        let dependence = fitted.tightened(*share);
        rows.iter().map(|(raw, row)| loss(&dependence, raw, row, is_whole)).sum::<f64>()
    });
    let best = (0..SHARES.len()).min_by(|a, b| losses[*a].total_cmp(&losses[*b]));
    best.map_or_else(|| fitted.clone(), |best| fitted.tightened(SHARES[best]))
}

/// Steps known from the first on.
fn n_known(row: &Row) -> usize {
    row.known.iter().take_while(|units| !units.is_nan()).count()
}

/// Pinball losses of the units of the first 1, 2, 3 ... steps, weighted as units are in training.
fn loss(dependence: &Dependence, raw: &[f32], row: &Row, is_whole: bool) -> f64 {
    let scale = row.window.scale;
    let of_steps = raw.chunks_exact(N_UNIT_OUTPUTS).take(n_known(row)).flat_map(quantiles);
    let of_steps: Vec<f32> = of_steps.map(|quantile| quantile.max(0.0) * scale).collect();
    let sums = dependence.cumulative_quantiles(&of_steps, is_whole);
    let weight = row.validation.as_ref().map_or(0.0, |target| target.weight) / scale;
    let (mut sold, mut loss) = (0.0, 0.0);
    for (units, quantiles) in row.known[..n_known(row)].iter().zip(sums.chunks_exact(N_LEVELS)) {
        sold += units;
        for level in WQL_LEVELS {
            loss += f64::from(weight * pinball(sold, quantiles[level], LEVELS[level] as f32));
        }
    }
    loss
}

#[cfg(test)]
mod tests {
    use lifecycle::{Period, Series, StageProbabilities};
    use panel::{FilterOutlook, Window};

    use super::*;
    use crate::rows::Target;

    const N_STEPS: usize = 6;

    fn row(known: Vec<f32>) -> Row {
        let stages = StageProbabilities::from_weights([1.0; 5]);
        let window = Window {
            series: Series::of("p"),
            origin: Period(100),
            scale: 10.0,
            context: Vec::new(),
            statics: Vec::new(),
            horizon: Vec::new(),
            filter: FilterOutlook { stage_now: stages, stages: [stages; 3], expected: Vec::new() },
            age: 30,
            n_observed: 30,
            cold_start: false,
            far_from_training: false,
        };
        let units = known.clone();
        let target = Target { units, weight: 1.0, turns: [None; 3], stages: [None; 4] };
        Row { window, train: None, validation: Some(target), known }
    }

    /// The correlation of two steps that is chosen for rows of these units.
    fn chosen(units: impl Fn(usize, usize) -> f32) -> f32 {
        let rows: Vec<Row> = (0..40)
            .map(|number| row((0..N_STEPS).map(|step| units(number, step)).collect()))
            .collect();
        // A median of one scale, and levels a tenth of it apart.
        let mut step = [-2.25_f32; N_UNIT_OUTPUTS];
        step[N_LEVELS / 2] = 1.0;
        let raw = step.repeat(N_STEPS);
        let rows: Vec<(&[f32], &Row)> = rows.iter().map(|row| (&raw[..], row)).collect();
        let apart = Dependence::independent(N_STEPS);
        tightened(&apart, &rows, true, &Workers::new(2)).correlations()[1]
    }

    #[test]
    fn steps_that_rise_and_fall_together_are_tied_and_others_are_not() {
        let together = chosen(|number, _| if number % 2 == 0 { 6.0 } else { 14.0 });
        let apart = chosen(|number, step| if (number + step) % 2 == 0 { 6.0 } else { 14.0 });
        assert!(together > 0.5 && apart == 0.0, "{together} {apart}");
    }

    #[test]
    fn without_rows_nothing_is_changed() {
        assert_eq!(chosen(|_, _| f32::NAN), 0.0);
    }
}
