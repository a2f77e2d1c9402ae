//! Lives: how much of its peak a product sells by age, and the true stages that follow.
//!
//! Five families of curves, so that no one family that a model assumes is the truth: the trapezoid
//! of the label, the adoption density of Bass (1969), a gamma density, a logistic rise and fade,
//! and a hit that fades by a power law. A life may be launched again, be cut short, or take a
//! permanent hit.

use std::ops::Range;

use lifecycle::{ENDED_LEVEL, Stage, level_rule};

use crate::draws::Draws;
use crate::world::Temper;

/// Weeks that a life is followed beyond the end of the calendar, to know its true peak.
pub(crate) const AHEAD_WEEKS: usize = 520;

/// What kind of curve a life follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    Trapezoid,
    Bass,
    Gamma,
    LogisticFade,
    PowerFade,
}

/// All families; a family's position here is its index in [`Temper::families`].
pub(crate) const FAMILIES: [Family; 5] =
    [Family::Trapezoid, Family::Bass, Family::Gamma, Family::LogisticFade, Family::PowerFade];

/// How long the phases of a life take, in weeks, and how they lean.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) rise: f64,
    pub(crate) plateau: f64,
    pub(crate) fade: f64,
    /// 0 to 1: how late the rise starts, or how steep it is, by family.
    pub(crate) lean: f64,
}

impl Family {
    /// Name in the truth file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Trapezoid => "trapezoid",
            Self::Bass => "bass",
            Self::Gamma => "gamma",
            Self::LogisticFade => "logistic fade",
            Self::PowerFade => "power fade",
        }
    }

    /// Level at an age in weeks; the peak is about 1.
    pub(crate) fn level(self, timing: Timing, age: f64) -> f64 {
        let Timing { rise, plateau, fade, lean } = timing;
        match self {
            Self::Trapezoid => {
                let takeoff = 0.6 * lean * rise;
                if age < takeoff {
                    0.06
                } else if age < rise {
                    0.06 + 0.94 * (age - takeoff) / (rise - takeoff)
                } else {
                    (1.0 - (age - rise - plateau) / (1.6 * fade)).clamp(0.0, 1.0)
                }
            }
            Self::Bass => {
                let imitation = (2.5 + 2.5 * lean).exp();
                let peak = rise + plateau / 2.0;
                let adoption = imitation * (-imitation.ln() * age / peak).exp();
                4.0 * adoption / (1.0 + adoption).powi(2)
            }
            Self::Gamma => {
                let mode = rise + plateau / 2.0;
                let (shape, relative) = (2.0 * mode / fade, age / mode);
                (shape * (relative.ln() + 1.0 - relative)).exp()
            }
            Self::LogisticFade => {
                let up = logistic((age - 0.6 * rise) / (0.15 * rise));
                let middle = rise + plateau + fade / 2.0;
                up * logistic((middle - age) / (0.22 * fade))
            }
            Self::PowerFade => {
                let up = 0.4 * rise;
                if age < up {
                    (age + 0.5) / (up + 0.5)
                } else {
                    let scale = 0.6 * plateau + 0.4 * fade + 1.0;
                    (1.0 + (age - up) / scale).powf(-1.0 - 1.2 * lean)
                }
            }
        }
    }

    /// The weeks from launch on, peak exactly 1.
    fn curve(self, timing: Timing, n_weeks: usize) -> Vec<f64> {
        let mut curve: Vec<f64> =
            (0..n_weeks).map(|week| self.level(timing, week as f64 + 0.5)).collect();
        let peak = curve.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        for level in &mut curve {
            *level /= peak;
        }
        curve
    }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// One product's life by week since its launch.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) family: Family,
    /// Share of the first peak. Shape `[n_weeks]`, from launch on.
    pub(crate) level: Vec<f64>,
    /// Age at which it was launched again, which begins a life of its own.
    pub(crate) relaunched: Option<usize>,
    /// Age at which the shop takes it off sale.
    pub(crate) delisted: Option<usize>,
}

impl Life {
    /// Draws a life that is followed for `n_weeks` and as far beyond as its peak needs; `pace`
    /// stretches all durations.
    pub(crate) fn draw(draws: &mut Draws, temper: &Temper, pace: f64, n_weeks: usize) -> Self {
        let n_weeks = n_weeks + AHEAD_WEEKS;
        let family = FAMILIES[draws.weighted(&temper.families)];
        let timing = draw_timing(draws, temper, pace);
        let mut level = family.curve(timing, n_weeks);
        let is_relaunched = draws.chance(temper.relaunch);
        let relaunched =
            if is_relaunched { relaunch(draws, temper, pace, &mut level) } else { None };
        if draws.chance(temper.permanent_hit) {
            let week = (draws.between(0.5, 1.5) * (timing.rise + timing.plateau)) as usize;
            let kept = draws.between(0.35, 0.75);
            for level in level.iter_mut().skip(week) {
                *level *= kept;
            }
        }
        let delisted = draw_end(draws, temper, &level, relaunched.unwrap_or(0));
        Self { family, level, relaunched, delisted }
    }

    /// Share of the first peak at an age; nothing once delisted.
    pub(crate) fn at(&self, age: usize) -> f64 {
        if self.delisted.is_some_and(|end| age >= end) {
            return 0.0;
        }
        self.level.get(age).copied().unwrap_or(0.0)
    }

    /// First age at which nothing is left to sell.
    pub(crate) fn end(&self) -> usize {
        let faded =
            self.level.iter().rposition(|level| *level >= ENDED_LEVEL).map_or(0, |last| last + 1);
        self.delisted.map_or(faded, |end| end.min(faded))
    }

    /// The weeks of the first launch and of the second; the latter may be none.
    pub(crate) fn parts(&self) -> [Range<usize>; 2] {
        let n_weeks = self.level.len();
        let split = self.relaunched.unwrap_or(n_weeks);
        [0..split, split..n_weeks]
    }

    /// The true stages, by age: the level rule within each part.
    pub(crate) fn stages(&self) -> Vec<Stage> {
        let mut stages: Vec<Stage> =
            self.parts().into_iter().flat_map(|part| level_rule(&self.level[part])).collect();
        for stage in stages.iter_mut().skip(self.delisted.unwrap_or(usize::MAX)) {
            *stage = Stage::Ended;
        }
        stages
    }

    /// The highest level of the part that holds this age, and its age.
    pub(crate) fn peak(&self, age: usize) -> (usize, f64) {
        let [first, second] = self.parts();
        highest(&self.level, if second.contains(&age) { second } else { first })
    }
}

fn highest(level: &[f64], part: Range<usize>) -> (usize, f64) {
    part.fold(
        (0, f64::MIN),
        |(best, peak), age| {
            if level[age] > peak { (age, level[age]) } else { (best, peak) }
        },
    )
}

fn draw_timing(draws: &mut Draws, temper: &Temper, pace: f64) -> Timing {
    let mut timing = Timing {
        rise: (pace * draws.log_normal(temper.rise)).clamp(0.8, 80.0),
        plateau: (pace * draws.log_normal(temper.plateau)).clamp(0.5, 200.0),
        fade: (pace * draws.log_normal(temper.fade)).clamp(2.0, 200.0),
        lean: draws.unit(),
    };
    if draws.chance(temper.evergreen) {
        timing.plateau = 8.0 * timing.plateau + 100.0;
        timing.fade *= 3.0;
    }
    timing
}

/// Adds a second life some weeks after the first has sunk; gives the age at which it starts.
fn relaunch(draws: &mut Draws, temper: &Temper, pace: f64, level: &mut [f64]) -> Option<usize> {
    let n_weeks = level.len();
    let peak = level.iter().position(|level| *level >= 1.0)?;
    let wait = draws.whole(4, 30) as usize;
    let height = draws.between(0.4, 1.2);
    let family = FAMILIES[draws.weighted(&temper.families)];
    let timing = draw_timing(draws, temper, pace);
    let sunk = (peak..n_weeks).find(|week| level[*week] < 0.12)?;
    let start = sunk + wait;
    if start + AHEAD_WEEKS / 2 > n_weeks {
        return None;
    }
    for (level, second) in level[start..].iter_mut().zip(family.curve(timing, n_weeks - start)) {
        *level += height * second;
    }
    Some(start)
}

/// When the shop gives up: some weeks after the level has sunk below what it puts up with, or,
/// rarely, at any time (the maker stops, a licence ends).
fn draw_end(
    draws: &mut Draws,
    temper: &Temper,
    level: &[f64],
    last_launch: usize,
) -> Option<usize> {
    let patience = draws.between(0.02, 0.09);
    let lag = draws.whole(0, 12) as usize;
    let gives_up = draws.chance(temper.delisting);
    let cut = draws.exponential(52.0 / temper.cuts_per_year);
    let (peak_age, peak) = highest(level, last_launch..level.len());
    let sunk = (peak_age..level.len()).find(|age| level[*age] < patience * peak);
    let sunk = sunk.filter(|_| gives_up).map(|age| age + lag);
    let cut = (cut < level.len() as f64).then_some(cut as usize + 6);
    match (sunk, cut) {
        (Some(sunk), Some(cut)) => Some(sunk.min(cut)),
        (sunk, cut) => sunk.or(cut),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Config, World};
    use crate::world::Mechanisms;

    #[test]
    fn every_family_rises_to_one_and_falls() {
        for family in FAMILIES {
            let timing = Timing { rise: 12.0, plateau: 20.0, fade: 25.0, lean: 0.5 };
            let curve = family.curve(timing, 700);
            let peak = curve.iter().position(|level| *level >= 1.0).expect("a peak");
            assert!(curve.iter().all(|level| (0.0..=1.0).contains(level)), "{family:?}");
            assert!(curve[..=peak].is_sorted(), "{family:?} rises");
            assert!(curve[peak..].is_sorted_by(|a, b| a >= b), "{family:?} falls");
            assert!(curve[699] < 0.05 && peak < 50, "{family:?}");
        }
    }

    proptest! {
        #[test]
        fn stages_never_go_back_within_a_part(seed in 0_u64..5_000, second in any::<bool>()) {
            let world = if second { World::FashionAndTrade } else { World::Household };
            let mut draws = Draws::of(&Config { seed, ..Config::default() }, "life", 0);
            for temper in Mechanisms::of(world).tempers() {
                let life = Life::draw(&mut draws, temper, 1.0, 200);
                let stages = life.stages();
                prop_assert_eq!(stages.len(), life.level.len());
                for part in life.parts() {
                    let indices = stages[part].iter().map(|stage| stage.index());
                    prop_assert!(indices.is_sorted());
                }
                if let Some(end) = life.delisted {
                    prop_assert!(life.at(end) == 0.0);
                    prop_assert!(stages[end.min(stages.len())..].iter().all(|s| *s == Stage::Ended));
                }
            }
        }
    }
}
