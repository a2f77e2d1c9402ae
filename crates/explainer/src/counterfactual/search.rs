//! The search for the smallest change that meets each target; nothing in it is left to chance.
//!
//! First the line of each axis, then the grid of each pair of axes that the model reads, then
//! bisection between the last point that fails and the first that meets the target. A change's size
//! is the sum of its axes' distances in widths of their bounds: of weighted norms it is the one that
//! asks for few changes (Wachter, Mittelstadt & Russell 2017, arXiv 1711.00399). The model answers
//! all points of a step at once. What is found is the smallest of what was looked at: between the
//! points of a line that are both on one side the model may turn twice.

use super::change::{Change, Ground, Range};
use super::target::{Reading, Target};
use crate::error::Error;
use crate::explained::Explained;
use crate::players::Cut;

/// Points of a line on each side of the value that is nearest to the usual one.
const N_LINE: usize = 6;

/// The same of each axis of a pair.
const N_PAIR: usize = 3;

/// Halvings of what lies between two points of a line: to a hundredth of it.
const N_HALVINGS: usize = 7;

/// Brackets that are halved for each target: the nearest ones.
const N_BRACKETS: usize = 4;

/// What moves answers less than this is rounding.
const ROUNDING: f64 = 1e-5;

/// A change with what the model answers to it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    pub(super) change: Change,
    pub(super) distance: f64,
    pub(super) reading: Reading,
}

/// A change that meets a target, and one nearer by that does not.
#[derive(Debug, Clone)]
struct Bracket {
    target: Target,
    fails: Change,
    meets: Point,
}

/// What was found of one target.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) target: Target,
    /// The smallest change that meets it; else the one that comes nearest to it, which may be none.
    pub(super) point: Point,
    pub(super) is_met: bool,
}

/// The points that were looked at.
#[derive(Debug)]
pub(super) struct Search<'a> {
    explained: &'a dyn Explained,
    pub(super) ground: Ground<'a>,
    cut: Cut,
    sales_change: f64,
    /// The forecast as it is.
    pub(super) before: Point,
    seen: Vec<Point>,
}

impl<'a> Search<'a> {
    /// Asks for the forecast as it is.
    pub(super) fn new(
        explained: &'a dyn Explained,
        ground: Ground<'a>,
        cut: Cut,
        sales_change: f64,
    ) -> Result<Self, Error> {
        let before = points(explained, &ground, cut, vec![Change::default()])?.remove(0);
        let seen = vec![before.clone()];
        Ok(Self { explained, ground, cut, sales_change, before, seen })
    }

    /// What is found of every target that the model says anything of.
    pub(super) fn found(&mut self) -> Result<Vec<Found>, Error> {
        let asked = |target: &Target| target.is_asked(&self.before.reading);
        let targets: Vec<Target> = Target::ALL.into_iter().filter(asked).collect();
        let lines = self.lines()?;
        let grids = self.grids()?;
        let nearest = |target: &Target| self.brackets(*target, &lines, &grids);
        let mut brackets: Vec<Bracket> = targets.iter().flat_map(nearest).collect();
        self.halve(&mut brackets)?;
        let chosen = targets.iter().map(|target| self.chosen(*target, &brackets).change.clone());
        let told = self.evaluate(chosen.collect())?;
        let found = |(target, point): (Target, Point)| {
            let is_met = self.is_met(target, &point.reading);
            Found { target, point, is_met }
        };
        Ok(targets.into_iter().zip(told).map(found).collect())
    }

    /// Forecasts that were asked for.
    pub(super) fn n_evaluations(&self) -> usize {
        self.seen.len()
    }

    fn is_met(&self, target: Target, reading: &Reading) -> bool {
        target.judged(self.sales_change, &self.before.reading, reading).is_met()
    }

    fn evaluate(&mut self, changes: Vec<Change>) -> Result<Vec<Point>, Error> {
        let points = points(self.explained, &self.ground, self.cut, changes)?;
        self.seen.extend_from_slice(&points);
        Ok(points)
    }

    /// The points of each half line, from the value nearest to the usual one outwards; says which
    /// axes are read.
    fn lines(&mut self) -> Result<Vec<Vec<Point>>, Error> {
        let mut lines = Vec::new();
        for range in &self.ground.ranges {
            let first = usize::from(range.is_unchanged_near());
            let steps = |end: &f64| -> Vec<Change> {
                (first..=N_LINE)
                    .map(|step| one(range, along(range, *end, (step, N_LINE))))
                    .collect()
            };
            lines.extend(ends(range).iter().map(steps));
        }
        let mut points = self.evaluate(lines.concat())?.into_iter();
        let lines: Vec<Vec<Point>> =
            lines.iter().map(|line| points.by_ref().take(line.len()).collect()).collect();
        for range in &mut self.ground.ranges {
            let is_moved = |point: &Point| {
                let is_own = point.change.values[0].0 == range.axis;
                is_own && point.reading.apart(&self.before.reading) > ROUNDING
            };
            range.is_read = lines.iter().flatten().any(is_moved);
        }
        Ok(lines)
    }

    /// The points of the grids of all pairs of axes that are read.
    fn grids(&mut self) -> Result<Vec<Point>, Error> {
        let read: Vec<&Range> = self.ground.ranges.iter().filter(|range| range.is_read).collect();
        let mut changes = Vec::new();
        for (place, first) in read.iter().enumerate() {
            for second in &read[place + 1..] {
                for one in grid(first) {
                    let pair = |other: f64| Change {
                        values: vec![(first.axis, one), (second.axis, other)],
                    };
                    changes.extend(grid(second).into_iter().map(pair));
                }
            }
        }
        self.evaluate(changes)
    }

    /// The nearest brackets of a target.
    fn brackets(&self, target: Target, lines: &[Vec<Point>], grids: &[Point]) -> Vec<Bracket> {
        let mut brackets = Vec::new();
        for line in lines {
            let Some(place) = line.iter().position(|point| self.is_met(target, &point.reading))
            else {
                continue;
            };
            let meets = line[place].clone();
            let fails = if place > 0 {
                line[place - 1].change.clone()
            } else {
                self.nearest(&meets.change)
            };
            brackets.push(Bracket { target, fails, meets });
        }
        let met = grids.iter().filter(|point| self.is_met(target, &point.reading));
        brackets.extend(met.map(|meets| Bracket {
            target,
            fails: self.nearest(&meets.change),
            meets: meets.clone(),
        }));
        brackets.sort_by(|a, b| a.meets.distance.total_cmp(&b.meets.distance));
        brackets.truncate(N_BRACKETS);
        brackets
    }

    /// The axes of a change at the values nearest to the usual ones.
    fn nearest(&self, change: &Change) -> Change {
        let near = |(axis, _): &(_, f64)| (*axis, self.ground.range(*axis).near());
        Change { values: change.values.iter().map(near).collect() }
    }

    /// Halves all brackets at once, as far as thousandths go.
    fn halve(&mut self, brackets: &mut [Bracket]) -> Result<(), Error> {
        for _ in 0..N_HALVINGS {
            let middles: Vec<Change> = brackets.iter().map(|of| self.middle(of)).collect();
            let is_new = |(of, middle): (&Bracket, &Change)| {
                *middle != of.fails && *middle != of.meets.change
            };
            let is_new: Vec<bool> = brackets.iter().zip(&middles).map(is_new).collect();
            let asked = middles.into_iter().zip(&is_new).filter(|(_, is_new)| **is_new);
            let mut points = self.evaluate(asked.map(|(middle, _)| middle).collect())?.into_iter();
            for (bracket, is_new) in brackets.iter_mut().zip(is_new) {
                let Some(point) = is_new.then(|| points.next()).flatten() else { continue };
                if self.is_met(bracket.target, &point.reading) {
                    bracket.meets = point;
                } else {
                    bracket.fails = point.change;
                }
            }
        }
        Ok(())
    }

    fn middle(&self, bracket: &Bracket) -> Change {
        let sides = bracket.fails.values.iter().zip(&bracket.meets.change.values);
        let middle = |((axis, fails), (_, meets)): (&(_, f64), &(_, f64))| {
            (*axis, self.ground.range(*axis).told((fails + meets) / 2.0))
        };
        Change { values: sides.map(middle).collect() }
    }

    /// The smallest change that meets a target; else what comes nearest to it, if anything comes
    /// nearer than no change does.
    fn chosen<'p>(&'p self, target: Target, brackets: &'p [Bracket]) -> &'p Point {
        let met = brackets.iter().filter(|bracket| bracket.target == target);
        let size = |point: &Point| (point.distance, point.change.values.len() as f64);
        let smallest = met.map(|bracket| &bracket.meets).min_by(|a, b| {
            let (a, b) = (size(a), size(b));
            a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
        });
        let lead = |point: &Point| {
            target.judged(self.sales_change, &self.before.reading, &point.reading).lead
        };
        let nearest = || {
            self.seen.iter().fold(&self.before, |best, point| {
                if lead(point) > lead(best) + ROUNDING { point } else { best }
            })
        };
        smallest.unwrap_or_else(nearest)
    }
}

/// What the model answers to changes, all at once.
fn points(
    explained: &dyn Explained,
    ground: &Ground<'_>,
    cut: Cut,
    changes: Vec<Change>,
) -> Result<Vec<Point>, Error> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let altered: Vec<_> = changes.iter().map(|change| ground.altered(change)).collect();
    let forecasts = explained.forecasts(&altered, cut.origin)?;
    let point = |(change, forecast): (Change, _)| Point {
        distance: ground.distance(&change),
        reading: Reading::of(&forecast),
        change,
    };
    Ok(changes.into_iter().zip(forecasts).map(point).collect())
}

fn one(range: &Range, value: f64) -> Change {
    Change { values: vec![(range.axis, value)] }
}

/// The bounds that lie away from the value nearest to the usual one.
fn ends(range: &Range) -> Vec<f64> {
    [range.low, range.high].into_iter().filter(|end| *end != range.near()).collect()
}

/// A value so many steps of all on the way from the nearest one to an end.
fn along(range: &Range, end: f64, (step, n_steps): (usize, usize)) -> f64 {
    let near = range.near();
    range.told(near + (end - near) * step as f64 / n_steps as f64)
}

/// The values of an axis in the grid of a pair.
fn grid(range: &Range) -> Vec<f64> {
    let side = |end: f64| (1..=N_PAIR).map(move |step| along(range, end, (step, N_PAIR)));
    ends(range).into_iter().flat_map(side).collect()
}
