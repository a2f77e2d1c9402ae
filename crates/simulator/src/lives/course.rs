//! The course of a life through the panel: its launch, what changes it for good, its end, and the
//! true stages that follow.
//!
//! A life may begin long before the panel, or within it. The true stage is the level rule on the
//! noise-free level within each launch, and *ended* from the day on which the shop takes it off.

use lifecycle::{Stage, level_rule};

use super::calendar::Calendar;
use super::ranges;
use super::shape::{Ages, Curve, Pace};
use crate::draws::{Draws, spread};
use crate::life::AHEAD_WEEKS;

/// Weeks in a year.
const YEAR: f64 = 365.25 / 7.0;

/// What the courses of a shop's lives have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Courses {
    pace: Pace,
    launched: f64,
    age_before: f64,
    /// Where in the year the first of two drops falls.
    drop: Option<f64>,
    slow: f64,
    relaunched: f64,
    shifts: f64,
    delisted: f64,
    sudden: f64,
}

/// One life by period.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Course {
    /// Period of the launch, negative before the panel.
    launch: i32,
    /// Share of the first peak by age. Shape `[n_ages]`.
    level: Vec<f64>,
    /// Ages at which it was launched again.
    restarts: Vec<usize>,
    /// Age at which the shop takes it off sale.
    end: Option<usize>,
}

impl Courses {
    pub(crate) fn draw(draws: &mut Draws) -> Self {
        Self {
            pace: Pace::draw(draws),
            launched: ranges::LAUNCHED.draw(draws),
            age_before: ranges::AGE_BEFORE.draw(draws),
            drop: draws.chance(ranges::DROP_SHOPS).then(|| draws.unit()),
            slow: ranges::SLOW_LIVES.draw(draws),
            relaunched: ranges::RELAUNCH_LIVES.draw(draws),
            shifts: ranges::SHIFTS.draw(draws),
            delisted: ranges::DELISTED.draw(draws),
            sudden: ranges::SUDDEN.draw(draws),
        }
    }

    /// Draws a life; `within` says that it must begin within the panel.
    pub(crate) fn course(&self, draws: &mut Draws, calendar: &Calendar, within: bool) -> Course {
        let shape = self.pace.shape(draws);
        let launch = self.launch(draws, calendar, within);
        let n_ahead = calendar.periods(AHEAD_WEEKS as f64);
        let n = (calendar.n_periods as i32 - launch) as usize + n_ahead;
        let ages = Ages { n, weeks: calendar.weeks };
        let mut curve = self.pace.curve(draws, shape, ages);
        if draws.chance(self.slow) {
            wait(draws, &mut curve, ages);
        }
        if draws.chance(self.relaunched) {
            self.relaunch(draws, &mut curve, ages);
        }
        self.shift(draws, &mut curve.level, calendar);
        let end = self.end(draws, &curve, calendar);
        Course { launch, level: curve.level, restarts: curve.restarts, end }
    }

    fn launch(&self, draws: &mut Draws, calendar: &Calendar, within: bool) -> i32 {
        let launched = draws.chance(self.launched);
        if !within && !launched {
            let weeks = 1.0 + draws.exponential(self.age_before).min(AHEAD_WEEKS as f64);
            return -(calendar.periods(weeks) as i32);
        }
        let index = draws.whole(0, calendar.n_periods as i64 - 1) as usize;
        let Some(drop) = self.drop else { return index as i32 };
        let since = (calendar.phases[index] - drop).rem_euclid(0.5) * YEAR;
        let late = draws.between(0.0, 3.0);
        index.saturating_sub(((since - late).max(0.0) / calendar.weeks) as usize) as i32
    }

    /// A second launch some weeks after the first has sunk.
    fn relaunch(&self, draws: &mut Draws, curve: &mut Curve, ages: Ages) {
        let wait = (draws.between(4.0, 40.0) / ages.weeks) as usize;
        let height = ranges::RELAUNCH_HEIGHT.draw(draws);
        let peak = curve.level.iter().position(|level| *level >= 1.0).unwrap_or(0);
        let sunk = (peak..ages.n).find(|age| curve.level[*age] < 0.12);
        let Some(start) = sunk.map(|sunk| sunk + wait).filter(|start| *start < ages.n) else {
            return;
        };
        let second = self.pace.second(draws, Ages { n: ages.n - start, ..ages });
        for (level, second) in curve.level[start..].iter_mut().zip(second.level) {
            *level += height * second;
        }
        curve.restarts.push(start);
        curve.restarts.sort_unstable();
    }

    /// Lasting changes, up or down: a competitor, a better place in the shop.
    fn shift(&self, draws: &mut Draws, level: &mut [f64], calendar: &Calendar) {
        if self.shifts == 0.0 {
            return;
        }
        let mut weeks = 0.0;
        loop {
            weeks += draws.exponential(YEAR / self.shifts);
            let age = (weeks / calendar.weeks) as usize;
            if age >= level.len() {
                return;
            }
            let factor = draws.log_normal(spread(1.0, ranges::SHIFT_SPREAD)).clamp(0.2, 5.0);
            level[age..].iter_mut().for_each(|level| *level *= factor);
        }
    }

    /// When the shop gives up: some weeks after the level has sunk below what it puts up with, or
    /// at any time.
    fn end(&self, draws: &mut Draws, curve: &Curve, calendar: &Calendar) -> Option<usize> {
        let gives_up = draws.chance(self.delisted);
        let patience = ranges::PATIENCE.draw(draws);
        let lag = (draws.between(0.0, 12.0) / calendar.weeks) as usize;
        let sudden = draws.exponential(YEAR / self.sudden);
        let last = curve.restarts.last().copied().unwrap_or(0);
        let (peak_age, peak) = highest(&curve.level, last);
        let sunk = (peak_age..curve.level.len()).find(|age| curve.level[*age] < patience * peak);
        let sunk = sunk.filter(|_| gives_up).map(|age| age + lag + 1);
        let sudden = (sudden / calendar.weeks) as usize + 2;
        let end = sunk.map_or(sudden, |sunk| sunk.min(sudden));
        (end < curve.level.len()).then_some(end)
    }
}

/// Some weeks at a low level before the curve begins.
fn wait(draws: &mut Draws, curve: &mut Curve, ages: Ages) {
    let n_weeks = ranges::SLOW_WEEKS.draw(draws);
    let n_waiting = ((n_weeks / ages.weeks) as usize).min(ages.n);
    let level = ranges::SLOW_LEVEL.draw(draws);
    curve.level.rotate_right(n_waiting);
    curve.level[..n_waiting].fill(level);
    curve.restarts.iter_mut().for_each(|age| *age += n_waiting);
    curve.restarts.retain(|age| *age < ages.n);
}

/// The highest level from an age on, and its age.
fn highest(level: &[f64], from: usize) -> (usize, f64) {
    let later = level.iter().enumerate().skip(from);
    later.fold((from, 0.0), |best, (age, level)| if *level > best.1 { (age, *level) } else { best })
}

impl Course {
    /// First period of the panel in which it is on sale.
    pub(crate) fn first(&self) -> usize {
        self.launch.max(0) as usize
    }

    /// Period of the launch, negative before the panel.
    pub(crate) fn launch(&self) -> i32 {
        self.launch
    }

    /// First period without it on sale.
    pub(crate) fn end(&self) -> Option<i32> {
        self.end.map(|age| self.launch + age as i32)
    }

    /// Whether it is on sale in a period of the panel.
    pub(crate) fn is_on_sale(&self, index: usize) -> bool {
        let index = index as i32;
        index >= self.launch && self.end().is_none_or(|end| index < end)
    }

    /// Share of the first peak in a period of the panel; nothing once it is taken off.
    pub(crate) fn level(&self, index: usize) -> f64 {
        if self.is_on_sale(index) { self.level[(index as i32 - self.launch) as usize] } else { 0.0 }
    }

    /// Highest level of all that came before the panel's period `index`.
    pub(crate) fn highest_before(&self, index: usize) -> f64 {
        let age = (index as i32 - self.launch).max(0) as usize;
        self.level[..age].iter().copied().fold(0.0, f64::max)
    }

    /// The true stages of the panel's periods from [`Course::first`] on.
    pub(crate) fn stages(&self, n_periods: usize) -> Vec<Stage> {
        let n_ages = self.level.len();
        let starts = [0].into_iter().chain(self.restarts.iter().copied());
        let ends = self.restarts.iter().copied().chain([n_ages]);
        let stages = starts.zip(ends).flat_map(|(start, end)| level_rule(&self.level[start..end]));
        let end = self.end.unwrap_or(usize::MAX);
        let stages =
            stages.enumerate().map(|(age, stage)| if age >= end { Stage::Ended } else { stage });
        let age = (self.first() as i32 - self.launch) as usize;
        stages.skip(age).take(n_periods - self.first()).collect()
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::Frequency;

    use super::*;
    use crate::lives::Config;

    fn calendar(frequency: Frequency) -> Calendar {
        Calendar::draw(&Config { lives: 1, frequency, seed: 1 })
    }

    #[test]
    fn stages_follow_each_launch_and_end_with_the_sale() {
        let course = Course {
            launch: -2,
            level: vec![0.05, 0.3, 1.0, 0.4, 0.0, 0.0, 0.04, 0.5, 0.6, 0.5, 0.2, 0.1],
            restarts: vec![6],
            end: Some(11),
        };
        let names: Vec<&str> = course.stages(10).into_iter().map(Stage::name).collect();
        let expected = expect_test::expect![[
            r#"["maturity", "decline", "ended", "ended", "introduction", "maturity", "maturity", "maturity", "decline", "ended"]"#
        ]];
        expected.assert_eq(&format!("{names:?}"));
        assert_eq!((course.level(0), course.level(9), course.end()), (1.0, 0.0, Some(9)));
        assert_eq!(course.highest_before(6), 1.0);
    }

    #[test]
    fn courses_begin_before_and_within_the_panel_and_end_in_many_ways() {
        for frequency in [Frequency::Day, Frequency::Week, Frequency::Month] {
            let calendar = calendar(frequency);
            let (mut n_before, mut n_late, mut n_ended, mut n_restarted) = (0, 0, 0, 0);
            for shop in 0..150 {
                let mut draws = Draws::named(&format!("course {shop}"));
                let courses = Courses::draw(&mut draws);
                for _ in 0..4 {
                    let course = courses.course(&mut draws, &calendar, false);
                    let stages = course.stages(calendar.n_periods);
                    assert_eq!(stages.len(), calendar.n_periods - course.first());
                    n_before += i32::from(course.launch() < 0);
                    n_late += i32::from(2 * course.first() > calendar.n_periods);
                    let end = course.end().unwrap_or(i32::MAX);
                    n_ended += i32::from(end < calendar.n_periods as i32);
                    n_restarted += i32::from(!course.restarts.is_empty());
                    assert!(courses.course(&mut draws, &calendar, true).launch() >= 0);
                }
            }
            let all = [n_before, n_late, n_ended, n_restarted];
            assert!(all.iter().all(|n| (20..450).contains(n)), "{frequency:?}: {all:?}");
        }
    }

    #[test]
    fn a_wait_a_relaunch_a_shift_and_a_sudden_end_change_a_course() {
        let calendar = calendar(Frequency::Week);
        let mut draws = Draws::named("changes");
        let calm = Courses {
            drop: None,
            slow: 0.0,
            relaunched: 0.0,
            shifts: 0.0,
            delisted: 0.0,
            sudden: 1e-9,
            ..Courses::draw(&mut draws)
        };
        let course =
            |courses: Courses| courses.course(&mut Draws::named("one course"), &calendar, true);
        let base = course(calm);
        assert_eq!(base.end, None);
        let shifted = course(Courses { shifts: 4.0, ..calm });
        assert_ne!(base.level, shifted.level);
        let n_introduced = |slow| {
            let stages = course(Courses { slow, ..calm }).stages(calendar.n_periods);
            stages.into_iter().filter(|stage| *stage == Stage::Introduction).count()
        };
        assert!(n_introduced(1.0) > n_introduced(0.0));
        let ended = course(Courses { sudden: 12.0, ..calm });
        assert!(ended.end.is_some());
        let n_restarts = |relaunched| -> usize {
            let courses = Courses { relaunched, ..calm };
            let mut draws = Draws::named("relaunches");
            (0..80).map(|_| courses.course(&mut draws, &calendar, true).restarts.len()).sum()
        };
        assert!(n_restarts(1.0) > n_restarts(0.0) + 20);
    }
}
