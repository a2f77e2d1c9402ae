//! Shapes of lives: what share of its peak a product sells by age.
//!
//! The five families of the marketplaces, and what these leave out: bells with a long tail, staples
//! that are there from the first day, lives of straight pieces, products of one season that return
//! each year, fads of some weeks.

use super::ranges;
use crate::draws::{Draws, Spread, spread};
use crate::life::{FAMILIES, Family, Timing};

/// What kind of curve a life follows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    /// One of the marketplaces' families.
    Family(Family),
    /// A log-normal density: a quick rise, a long tail.
    LogNormal,
    /// At its level from the first day, without an end of its own.
    Staple,
    /// Straight lines between random knots.
    Pieces,
    /// Sold in one season of the year only, year after year.
    Returns,
    /// Some weeks, and over.
    Fad,
}

/// All shapes with their usual weights; a shop's own differ.
pub(crate) const SHAPES: [(Shape, f64); 10] = [
    (Shape::Family(Family::Trapezoid), 0.17),
    (Shape::Family(Family::Bass), 0.1),
    (Shape::Family(Family::Gamma), 0.1),
    (Shape::Family(Family::LogisticFade), 0.12),
    (Shape::Family(Family::PowerFade), 0.09),
    (Shape::LogNormal, 0.06),
    (Shape::Staple, 0.22),
    (Shape::Pieces, 0.08),
    (Shape::Returns, 0.03),
    (Shape::Fad, 0.04),
];

/// How a shop's lives are shaped and how long they take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    weights: [f64; SHAPES.len()],
    rise: Spread,
    plateau: Spread,
    fade: Spread,
    evergreen: f64,
}

/// The ages at which a curve is known: `n` periods of some weeks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ages {
    pub(crate) n: usize,
    pub(crate) weeks: f64,
}

/// A curve, and the ages at which its second and later lives begin.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Curve {
    /// Share of the first peak. Shape `[n]`.
    pub(crate) level: Vec<f64>,
    pub(crate) restarts: Vec<usize>,
}

impl Ages {
    /// The middle of each period, in weeks since launch.
    fn iter(self) -> impl Iterator<Item = f64> {
        (0..self.n).map(move |index| (index as f64 + 0.5) * self.weeks)
    }

    /// The period that holds an age in weeks.
    fn index(self, weeks: f64) -> usize {
        (weeks / self.weeks) as usize
    }
}

impl Pace {
    pub(crate) fn draw(draws: &mut Draws) -> Self {
        let weights =
            SHAPES.map(|(_, weight)| weight * (ranges::SHAPE_SPREAD * draws.normal()).exp());
        let sigma = ranges::PACE_SPREAD.draw(draws);
        Self {
            weights,
            rise: spread(ranges::RISE.draw(draws), sigma),
            plateau: spread(ranges::PLATEAU.draw(draws), sigma),
            fade: spread(ranges::FADE.draw(draws), sigma),
            evergreen: ranges::EVERGREEN.draw(draws),
        }
    }

    /// Draws a shape.
    pub(crate) fn shape(&self, draws: &mut Draws) -> Shape {
        SHAPES[draws.weighted(&self.weights)].0
    }

    /// Draws a curve of this shape, its peak 1.
    pub(crate) fn curve(&self, draws: &mut Draws, shape: Shape, ages: Ages) -> Curve {
        let mut curve = match shape {
            Shape::Family(family) => of_family(family, self.timing(draws), ages),
            Shape::LogNormal => {
                let (middle, sigma) = (draws.log_normal(self.rise) + 1.0, draws.between(0.4, 1.2));
                let level = |age: f64| (-0.5 * ((age / middle).ln() / sigma).powi(2)).exp();
                Curve::of(ages.iter().map(level))
            }
            Shape::Staple => Curve::of(ages.iter().map(|_| 1.0)),
            Shape::Pieces => Curve::of(pieces(draws, ages).into_iter()),
            Shape::Returns => returns(draws, ages),
            Shape::Fad => {
                let family = if draws.chance(0.5) { Family::Gamma } else { Family::PowerFade };
                let (rise, fade) = (ranges::FAD_RISE.draw(draws), ranges::FAD_FADE.draw(draws));
                of_family(family, Timing { rise, plateau: 0.5, fade, lean: draws.unit() }, ages)
            }
        };
        let peak = curve.level.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        curve.level.iter_mut().for_each(|level| *level /= peak);
        curve
    }

    /// A second launch follows one of the families.
    pub(crate) fn second(&self, draws: &mut Draws, ages: Ages) -> Curve {
        let family = *draws.pick(&FAMILIES);
        self.curve(draws, Shape::Family(family), ages)
    }

    fn timing(&self, draws: &mut Draws) -> Timing {
        let mut timing = Timing {
            rise: draws.log_normal(self.rise).clamp(0.8, 80.0),
            plateau: draws.log_normal(self.plateau).clamp(0.5, 400.0),
            fade: draws.log_normal(self.fade).clamp(2.0, 300.0),
            lean: draws.unit(),
        };
        if draws.chance(self.evergreen) {
            timing.plateau = 8.0 * timing.plateau + 100.0;
            timing.fade *= 3.0;
        }
        timing
    }
}

impl Curve {
    fn of(level: impl Iterator<Item = f64>) -> Self {
        Self { level: level.collect(), restarts: Vec::new() }
    }
}

fn of_family(family: Family, timing: Timing, ages: Ages) -> Curve {
    Curve::of(ages.iter().map(|age| family.level(timing, age)))
}

/// Straight lines from knot to knot; the last level holds, or is 0.
fn pieces(draws: &mut Draws, ages: Ages) -> Vec<f64> {
    let n_knots = draws.whole(ranges::KNOTS.0, ranges::KNOTS.1);
    let mut knots = vec![(0.0, 0.4 * draws.unit())];
    let mut age = 0.0;
    for _ in 0..n_knots {
        age += ranges::KNOT_GAP.draw(draws);
        knots.push((age, draws.unit()));
    }
    if draws.chance(0.5) {
        knots.push((age + ranges::KNOT_GAP.draw(draws), 0.0));
    }
    let mut knot = 0;
    ages.iter()
        .map(|age| {
            while knot + 1 < knots.len() && knots[knot + 1].0 <= age {
                knot += 1;
            }
            let (from, level) = knots[knot];
            let Some((to, next)) = knots.get(knot + 1) else { return level };
            level + (next - level) * (age - from) / (to - from)
        })
        .collect()
}

/// One hump a year, each a life of its own.
fn returns(draws: &mut Draws, ages: Ages) -> Curve {
    let width = ranges::RETURN_WEEKS.draw(draws);
    let kept = ranges::RETURN_KEPT.draw(draws);
    let n_years = draws.whole(ranges::RETURN_YEARS.0, ranges::RETURN_YEARS.1);
    let heights: Vec<f64> =
        (0..n_years).map(|year| kept.powi(year as i32) * (0.3 * draws.normal()).exp()).collect();
    let year = 365.25 / 7.0;
    let level = |age: f64| {
        let height = heights.get((age / year) as usize).copied().unwrap_or(0.0);
        let phase = age % year / width;
        if phase < 1.0 { height * (std::f64::consts::PI * phase).sin() } else { 0.0 }
    };
    let restarts = (1..n_years).map(|n| ages.index(n as f64 * year)).filter(|age| *age < ages.n);
    Curve { restarts: restarts.collect(), ..Curve::of(ages.iter().map(level)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weeks for which a curve is above a tenth of its peak, of many draws, sorted.
    fn lengths(shape: Shape) -> Vec<usize> {
        let mut lengths: Vec<usize> = (0..60)
            .map(|index| {
                let mut draws = Draws::named(&format!("shape {index}"));
                let pace = Pace::draw(&mut draws);
                let curve = pace.curve(&mut draws, shape, Ages { n: 800, weeks: 1.0 });
                let peak = curve.level.iter().copied().fold(0.0, f64::max);
                assert!((peak - 1.0).abs() < 1e-9, "{shape:?}");
                assert!(curve.level.iter().all(|level| (0.0..=1.0).contains(level)));
                curve.level.iter().filter(|level| **level > 0.1).count()
            })
            .collect();
        lengths.sort_unstable();
        lengths
    }

    #[test]
    fn shapes_have_their_lengths() {
        for (shape, _) in SHAPES {
            let lengths = lengths(shape);
            let (low, middle, high) = (lengths[6], lengths[30], lengths[54]);
            match shape {
                Shape::Staple => assert_eq!((low, high), (800, 800)),
                Shape::Fad => assert!(middle < 40, "{middle}"),
                _ => assert!(low < high && middle < 700, "{shape:?}: {low} {middle} {high}"),
            }
        }
    }

    #[test]
    fn a_product_of_one_season_rests_and_returns_at_any_frequency() {
        for weeks in [1.0 / 7.0, 1.0, 52.0 / 12.0] {
            let ages = Ages { n: (520.0 / weeks) as usize, weeks };
            let mut draws = Draws::named("returns");
            let curve = returns(&mut draws, ages);
            assert!(!curve.restarts.is_empty());
            for restart in &curve.restarts {
                assert!(curve.level[*restart - 1] < 0.05);
                let after = *restart..(*restart + ages.index(24.0)).min(ages.n);
                assert!(curve.level[after].iter().any(|level| *level > 0.05));
            }
        }
    }
}
