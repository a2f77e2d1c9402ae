//! The trapezoid filter on a series: from units by period to steps of a life, and back.

use lifecycle::trapezoid::{Filter, LifeOutlook, Observation, Shapes, capped};
use lifecycle::{Period, StageProbabilities};

use crate::calendar::Calendar;
use crate::view::View;

/// What the filter says at one origin, in multiples of one unit.
#[derive(Debug, Clone)]
pub(crate) struct LifeNow {
    pub(crate) stage_now: StageProbabilities,
    pub(crate) stages: [StageProbabilities; 3],
    /// Expected units of each period after the origin.
    pub(crate) expected: Vec<f64>,
    /// Probability that the life is over although its shape has not run out.
    pub(crate) over: f64,
    pub(crate) dispersion: f64,
    /// Steps of the running life up to the origin.
    pub(crate) n_steps: usize,
    pub(crate) is_relaunch: bool,
}

/// Steps of a life: weeks of daily data are counted from the start of the series, the last may be
/// incomplete.
pub(crate) fn steps(view: &View<'_>, calendar: &Calendar, shapes: &Shapes) -> Vec<Observation> {
    let n_per_step = shapes.periods_per_step();
    view.units
        .chunks(n_per_step)
        .enumerate()
        .map(|(step, units)| {
            let first = view.history.start.plus((step * n_per_step) as i32);
            let observed = || units.iter().enumerate().filter(|(_, units)| units.is_finite());
            let n_observed = observed().count();
            if n_observed == 0 {
                return Observation::MASKED;
            }
            let season: f64 =
                observed().map(|(n, _)| calendar.at(first.plus(n as i32)).season).sum();
            Observation {
                units: observed().map(|(_, units)| units).sum(),
                exposure: n_observed as f64 / n_per_step as f64,
                season: season / n_observed as f64,
            }
        })
        .collect()
}

/// The running life in those steps, spikes capped, and whether an earlier one lies before it.
pub(crate) fn running_life(steps: &[Observation], shapes: &Shapes) -> (Vec<Observation>, bool) {
    let mut life = capped(steps);
    let start = shapes.life_start(&life);
    life.drain(..start);
    (life, start > 0)
}

/// Asks the filter at the view's origin for the next `n_periods`, and stages after `outlooks`.
pub(crate) fn look(
    view: &View<'_>,
    calendar: &Calendar,
    filter: &mut Filter<'_>,
    outlooks: [usize; 3],
    n_periods: usize,
) -> LifeNow {
    let shapes = filter.shapes();
    let (life, is_relaunch) = running_life(&steps(view, calendar, shapes), shapes);
    let outlook = filter.outlook(&life);
    let n_per_step = shapes.periods_per_step();
    LifeNow {
        stage_now: outlook.stage_now(),
        stages: outlooks.map(|n| outlook.stage_after(n as f64 / n_per_step as f64)),
        expected: expected(view, calendar, &outlook, n_per_step, n_periods),
        over: outlook.ended(),
        dispersion: outlook.dispersion(),
        n_steps: life.len(),
        is_relaunch,
    }
}

fn expected(
    view: &View<'_>,
    calendar: &Calendar,
    outlook: &LifeOutlook<'_>,
    n_per_step: usize,
    n_periods: usize,
) -> Vec<f64> {
    // Steps are counted from the start of the series, so the origin may stand within one.
    let n_known = view.n_periods();
    let step_now = n_known.saturating_sub(1) / n_per_step;
    let mut of_step = (usize::MAX, 0.0);
    (0..n_periods)
        .map(|ahead| {
            let step = (n_known + ahead) / n_per_step - step_now;
            if of_step.0 != step {
                of_step = (step, outlook.expected(step) / n_per_step as f64);
            }
            let period: Period = view.origin.plus(ahead as i32 + 1);
            of_step.1 * calendar.at(period).season
        })
        .collect()
}
