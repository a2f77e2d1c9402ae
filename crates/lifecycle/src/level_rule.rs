//! Stages by the level rule: what the simulator takes for the truth, and a second set of labels.

use crate::Stage;

/// Level below which a life is over, as a share of its peak.
pub const ENDED_LEVEL: f64 = 0.03;

/// Share of the peak at which growth begins, and at which maturity begins and ends.
const GROWTH_LEVEL: f64 = 0.1;
const MATURITY_LEVEL: f64 = 0.8;

/// Stages of one life by its levels, step by step: introduction before the level first reaches
/// 10 % of its peak, growth up to 80 %, maturity to the last step at 80 %, decline after, ended
/// once the level stays below [`ENDED_LEVEL`]. A level that is NaN reaches nothing.
pub fn level_rule(level: &[f64]) -> Vec<Stage> {
    let peak = level.iter().copied().fold(0.0, f64::max);
    let first = |share: f64| level.iter().position(|level| *level >= share * peak).unwrap_or(0);
    let last = |share: f64| level.iter().rposition(|level| *level >= share * peak).unwrap_or(0);
    let (takes_off, ripe) = (first(GROWTH_LEVEL), first(MATURITY_LEVEL));
    let (fades, ended) = (last(MATURITY_LEVEL), last(ENDED_LEVEL));
    let stage = |step: usize| match step {
        step if step < takes_off => Stage::Introduction,
        step if step < ripe => Stage::Growth,
        step if step <= fades => Stage::Maturity,
        step if step <= ended => Stage::Decline,
        _ => Stage::Ended,
    };
    (0..level.len()).map(stage).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_rule_reads_a_trapezoid() {
        let level = [0.05, 0.09, 0.3, 0.6, 0.85, 1.0, 0.9, 0.7, 0.2, 0.02, 0.01];
        let names: Vec<&str> = level_rule(&level).into_iter().map(Stage::name).collect();
        let stages = [(2, "introduction"), (2, "growth"), (3, "maturity"), (2, "decline")];
        let expected = stages.into_iter().chain([(2, "ended")]);
        let expected: Vec<&str> =
            expected.flat_map(|(n, name)| std::iter::repeat_n(name, n)).collect();
        assert_eq!(names, expected);
    }
}
