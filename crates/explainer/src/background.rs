//! Which real series stand in for absent players: a few that speak for many.
//!
//! Series of the product's own category are clustered by the shape of their recent lives, and each
//! cluster's medoid is a background row with the cluster's share as its weight (k-medoids, Kaufman
//! & Rousseeuw 1987; Voronoi iteration, Park & Jun 2009). Rows are real histories, so no absence
//! makes an input that never was. They are as they were known at the origin: what is sold, corrected
//! or returned later changes neither which they are nor what they say.

use lifecycle::{Digest, Period};
use panel::{Channel, History};

use crate::config::Config;
use crate::players::Cut;

/// Series that are clustered at most; more are sampled.
const CANDIDATES_MAX: usize = 256;

/// Blocks of 13 periods up to the origin whose mean units say what a life looks like.
const N_BLOCKS: usize = 8;

/// Periods of a block.
const BLOCK: i32 = 13;

/// Rounds of assigning and choosing at most.
const ROUNDS_MAX: usize = 20;

/// Real series with weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Background {
    /// The series as they were known at the origin; at least one.
    pub histories: Vec<History>,
    /// How much each speaks for; they sum to 1.
    pub weights: Vec<f64>,
}

impl Background {
    /// Medoids of the series like this one, at most as many as the configuration says; nothing
    /// where no other series can stand in.
    ///
    /// Those that sold in the last 13 weeks, if this one did and there is any; else all that ever
    /// sold. Of these, those of the same category, or else of the longest common part of its path,
    /// that began no later, if there are at least twice as many as rows are wanted; else all.
    pub fn of(
        config: &Config,
        histories: &[History],
        explained: &History,
        cut: Cut,
    ) -> Option<Self> {
        let candidates = candidates(config, histories, explained, cut);
        if candidates.is_empty() {
            return None;
        }
        let points = standardised(candidates.iter().map(|of| shape(of, cut.origin)).collect());
        let (medoids, weights) = medoids(&points, config.n_background);
        let histories = medoids.into_iter().map(|at| candidates[at].clone()).collect();
        Some(Self { histories, weights })
    }

    /// Digest of what stands in: series, their inputs and weights.
    pub fn digest(&self) -> Digest {
        let told = |(history, weight): (&History, &f64)| {
            let inputs = history.inputs_digest(&panel::Plan::default());
            format!("{} {inputs} {weight}", history.series)
        };
        let told: Vec<String> = self.histories.iter().zip(&self.weights).map(told).collect();
        Digest::of(told.join("\n"))
    }
}

/// Series that could stand in, as known at the origin, in an order by seed and product.
fn candidates(
    config: &Config,
    histories: &[History],
    explained: &History,
    cut: Cut,
) -> Vec<History> {
    let usable = usable(histories, explained, cut);
    let path = &explained.statics.category;
    let like = |depth: usize, is_as_old: bool| {
        let is_like = |other: &&&History| {
            let other_path = &other.statics.category;
            other_path.len() >= depth
                && other_path[..depth] == path[..depth]
                && (!is_as_old || other.start <= explained.start)
        };
        usable.iter().filter(is_like).copied().collect::<Vec<_>>()
    };
    let mut groups = (0..=path.len()).rev().map(|depth| like(depth, true));
    let enough = groups.find(|group| group.len() >= 2 * config.n_background);
    let group = enough.unwrap_or_else(|| like(0, false));
    let mut keyed: Vec<(Digest, &History)> = group
        .into_iter()
        .map(|other| {
            let key = format!("{}/{}/{}", config.seed, explained.series, other.series);
            (Digest::of(key), other)
        })
        .collect();
    keyed.sort_by_key(|(digest, _)| *digest);
    let chosen = keyed.into_iter().take(CANDIDATES_MAX);
    chosen.filter_map(|(_, other)| other.known_at(cut.origin)).collect()
}

/// Other products that sold in the last 13 weeks, if this one did and there is any; else all that
/// ever sold.
fn usable<'a>(histories: &'a [History], explained: &History, cut: Cut) -> Vec<&'a History> {
    let others = || histories.iter().filter(|of| of.series.product != explained.series.product);
    let selling: Vec<&History> = if has_sold(explained, cut.recent, cut.origin) {
        others().filter(|other| has_sold(other, cut.recent, cut.origin)).collect()
    } else {
        Vec::new()
    };
    if selling.is_empty() {
        others().filter(|other| has_sold(other, other.start, cut.origin)).collect()
    } else {
        selling
    }
}

/// Whether units were sold from one period up to the origin, as was known there.
fn has_sold(history: &History, from: Period, origin: Period) -> bool {
    let later: Vec<_> = history.corrections.iter().filter(|of| of.known > origin).collect();
    (0..=origin.since(from)).any(|back| {
        let period = origin.plus(-back);
        let corrected = later.iter().filter(|of| of.period == period);
        let corrected: f32 = corrected.map(|of| of.change).sum();
        history.value(Channel::Units, period) - corrected > 0.0
    })
}

/// What a life looks like at an origin: units by block over their mean, price level, shares of
/// promotion and stock; NaN where nothing is known. Length `N_BLOCKS + 3`.
fn shape(history: &History, origin: Period) -> Vec<f64> {
    let mean = |channel: Channel, from: i32, n: i32| {
        let values = (from..from + n).map(|back| history.value(channel, origin.plus(-back)));
        let known: Vec<f64> = values.filter(|value| value.is_finite()).map(f64::from).collect();
        known.iter().sum::<f64>() / known.len() as f64
    };
    let whole = N_BLOCKS as i32 * BLOCK;
    let level = mean(Channel::Units, 0, whole);
    let block = |at: usize| mean(Channel::Units, at as i32 * BLOCK, BLOCK) / level;
    let mut shape: Vec<f64> = (0..N_BLOCKS).map(block).map(f64::asinh).collect();
    shape.push(mean(Channel::Price, 0, whole).ln_1p());
    shape.extend([Channel::Promotion, Channel::InStock].map(|of| mean(of, 0, whole)));
    shape
}

/// Each number less its mean, over its standard deviation; 0 where it is unknown.
pub(crate) fn standardised(mut points: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    for of in 0..points[0].len() {
        let known: Vec<f64> =
            points.iter().map(|point| point[of]).filter(|x| x.is_finite()).collect();
        let n = known.len().max(1) as f64;
        let mean = known.iter().sum::<f64>() / n;
        let deviation = (known.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        for point in &mut points {
            let is_told = point[of].is_finite() && deviation > 0.0;
            point[of] = if is_told { (point[of] - mean) / deviation } else { 0.0 };
        }
    }
    points
}

/// At most `n` points that lie in the middle of as many clusters, and the clusters' shares.
///
/// Begins with the most central point and then always the one that helps most (BUILD of Kaufman &
/// Rousseeuw), so there is no chance in it. A point that speaks for none, being equal to another, is
/// left out.
pub(crate) fn medoids(points: &[Vec<f64>], n: usize) -> (Vec<usize>, Vec<f64>) {
    let apart = |(a, b): (&Vec<f64>, &Vec<f64>)| {
        a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    };
    let distances: Vec<f64> =
        points.iter().flat_map(|a| points.iter().map(move |b| apart((a, b)))).collect();
    let distance = |a: usize, b: usize| distances[a * points.len() + b];
    let all = 0..points.len();
    let least = |costs: &mut dyn Iterator<Item = (f64, usize)>| {
        costs.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))).map(|(_, at)| at)
    };
    let mut nearest = vec![f64::INFINITY; points.len()];
    let mut medoids: Vec<usize> = Vec::new();
    while medoids.len() < n.min(points.len()) {
        let open = all.clone().filter(|at| !medoids.contains(at));
        let cost =
            |at: usize| all.clone().map(|other| distance(at, other).min(nearest[other])).sum();
        let Some(next) = least(&mut open.map(|at| (cost(at), at))) else { break };
        for other in all.clone() {
            nearest[other] = nearest[other].min(distance(next, other));
        }
        medoids.push(next);
    }
    let home = |medoids: &[usize], point: usize| {
        let mut costs = medoids.iter().enumerate().map(|(at, of)| (distance(*of, point), at));
        least(&mut costs).unwrap_or_default()
    };
    for _ in 0..ROUNDS_MAX {
        let homes: Vec<usize> = all.clone().map(|point| home(&medoids, point)).collect();
        let middle = |cluster: usize| {
            let members: Vec<usize> = all.clone().filter(|at| homes[*at] == cluster).collect();
            let cost = |at: usize| members.iter().map(|other| distance(at, *other)).sum();
            let mut costs = members.iter().map(|at| (cost(*at), *at));
            least(&mut costs).unwrap_or(medoids[cluster])
        };
        let middles: Vec<usize> = (0..medoids.len()).map(middle).collect();
        if middles == medoids {
            break;
        }
        medoids = middles;
    }
    let mut weights = vec![0.0; medoids.len()];
    for point in all {
        weights[home(&medoids, point)] += 1.0 / points.len() as f64;
    }
    medoids.into_iter().zip(weights).filter(|(_, weight)| *weight > 0.0).unzip()
}

#[cfg(test)]
mod tests {
    use lifecycle::{Frequency, Series};
    use panel::{Correction, Statics};

    use super::*;

    fn history(product: &str, category: &str, units: impl Fn(usize) -> f32) -> History {
        let mut channels: [Vec<f32>; 8] = Default::default();
        channels[Channel::Units as usize] = (0..110).map(units).collect();
        History {
            series: Series::of(product),
            statics: Statics { category: vec![category.to_owned()], ..Statics::default() },
            start: Period(0),
            channels,
            corrections: Vec::new(),
            given_stage: Vec::new(),
        }
    }

    /// The cut whose last 13 weeks are the periods 93 to 105.
    fn cut() -> Cut {
        Cut::new(Frequency::Week, Period(105))
    }

    #[test]
    fn medoids_are_the_middles_of_clusters() {
        let points: Vec<Vec<f64>> =
            [0.0, 1.0, 2.0, 10.0, 11.0, 12.0, 13.0, 14.0].map(|x| vec![x]).to_vec();
        let (mut medoids, weights) = medoids(&points, 2);
        medoids.sort_unstable();
        assert_eq!(medoids, [1, 5]);
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(weights.contains(&0.375));
        assert_eq!(super::medoids(&points[..1], 8), (vec![0], vec![1.0]));
        let equal = [points[0].clone(), points[0].clone(), points[5].clone()];
        let (medoids, weights) = super::medoids(&equal, 3);
        assert_eq!((medoids.len(), weights.len()), (2, 2), "one of two equals speaks for both");
    }

    #[test]
    fn what_stands_in_is_of_the_category_and_of_each_shape() {
        let mut histories = vec![history("own", "mugs", |_| 4.0)];
        for at in 0..6 {
            histories.push(history(&format!("rising-{at}"), "mugs", |week| {
                week as f32 * (at + 1) as f32
            }));
            histories.push(history(&format!("fading-{at}"), "mugs", |week| (110 - week) as f32));
            histories.push(history(&format!("lamp-{at}"), "lamps", |_| 1.0));
        }
        let config = Config { n_background: 2, ..Config::default() };
        let background = Background::of(&config, &histories, &histories[0], cut());
        let background = background.expect("there are others");
        let mut kinds: Vec<String> = background
            .histories
            .iter()
            .map(|history| history.series.to_string()[..6].to_owned())
            .collect();
        kinds.sort();
        assert_eq!(kinds, ["fading", "rising"]);
        for weight in &background.weights {
            assert!((weight - 0.5).abs() < 1e-9);
        }
        let again = Background::of(&config, &histories, &histories[0], cut());
        assert_eq!(again.expect("the same").digest(), background.digest());
        assert_eq!(Background::of(&config, &histories[..1], &histories[0], cut()), None);
    }
    #[test]
    fn what_comes_after_the_origin_changes_nothing_of_what_stands_in() {
        let mut histories = vec![history("own", "mugs", |_| 4.0)];
        histories.extend(
            (0..6).map(|at| history(&format!("mug-{at}"), "mugs", |week| (week % (at + 2)) as f32)),
        );
        histories.push(history("unborn", "mugs", |_| 0.0));
        let config = Config { n_background: 3, ..Config::default() };
        let background = |histories: &[History]| {
            Background::of(&config, histories, &histories[0], cut()).expect("there are others")
        };
        let expected = background(&histories);
        for history in &mut histories[1..] {
            let units = &mut history.channels[Channel::Units as usize];
            units[106..].fill(900.0);
            // A return of the origin's week that becomes known two weeks later.
            units[105] -= 1.0;
            let (period, known) = (Period(105), Period(107));
            history.corrections.push(Correction { period, known, change: -1.0 });
        }
        let found = background(&histories);
        assert_eq!((&found, found.digest()), (&expected, expected.digest()));
    }

    #[test]
    fn what_no_longer_sells_does_not_stand_in_for_what_sells() {
        let is_early = |week: usize| f32::from(u8::from(week < 60));
        let mut histories = vec![history("own", "mugs", |_| 4.0)];
        histories.extend((0..9).map(|at| history(&format!("dead-{at}"), "mugs", is_early)));
        let names = |histories: &[History], config: &Config| {
            let found = Background::of(config, histories, &histories[0], cut());
            let found = found.expect("there are others").histories;
            found.iter().map(|of| of.series.to_string()).collect::<Vec<_>>()
        };
        let config = Config { n_background: 1, ..Config::default() };
        let none_sells = names(&histories, &config);
        assert!(none_sells[0].starts_with("dead"), "else nothing would stand in");
        histories.push(history("lamp", "lamps", |_| 2.0));
        assert_eq!(names(&histories, &config), ["lamp"]);
        histories[0] = history("own", "mugs", is_early);
        assert!(names(&histories, &config)[0].starts_with("dead"), "as the explained one");
    }
}
