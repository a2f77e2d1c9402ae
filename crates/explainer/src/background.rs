//! Which real series stand in for absent players: a few that speak for many.
//!
//! Series of the product's own category are clustered by the shape of their recent lives, and each
//! cluster's medoid is a background row with the cluster's share as its weight (k-medoids, Kaufman
//! & Rousseeuw 1987; Voronoi iteration, Park & Jun 2009). Rows are real histories, so no absence
//! makes an input that never was. They are as they were known at the origin: what is sold, corrected
//! or returned later changes neither which they are nor what they say.
//!
//! On request they are in the product's own stage as well, as the model that is explained answers at the
//! origin ([`Likeness::Stage`]); and count by how alike they are to what is kept (`game.rs`).

use lifecycle::{Digest, Period, Stage};
use panel::{Channel, History, Plan};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::error::Error;
use crate::explained::{Altered, Explained};
use crate::players::{Cut, players_of};

/// Series that are clustered at most; more are sampled.
const CANDIDATES_MAX: usize = 256;

/// Blocks of 13 periods up to the origin whose mean units say what a life looks like.
const N_BLOCKS: usize = 8;

/// Periods of a block.
const BLOCK: i32 = 13;

/// Rounds of assigning and choosing at most.
const ROUNDS_MAX: usize = 20;

/// What stands in is like the product in so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Likeness {
    /// Its category.
    Category,
    /// Its likeliest stage at the origin, and its category as far as there are enough.
    Stage,
}

/// Real series with weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Background {
    /// The series as they were known at the origin; at least one.
    pub histories: Vec<History>,
    /// How much each speaks for; they sum to 1.
    pub weights: Vec<f64>,
    /// Whether those count more that are like the product in what is kept.
    pub is_conditional: bool,
}

impl Background {
    /// Medoids of the series like this one, at most as many as the configuration says; nothing
    /// where no other series can stand in.
    ///
    /// Those that sold in the last 13 weeks, if this one did and there is any; else all that ever
    /// sold. Of these, those of the same category, or else of the longest common part of its path,
    /// that began no later, if there are at least twice as many as rows are wanted; else all. Where the
    /// stage matters, only those count that are in the same one by the model, as long as it gives stages
    /// and any is.
    ///
    /// # Errors
    ///
    /// Those of the model, which is asked for stages alone.
    pub fn of(
        config: &Config,
        model: &dyn Explained,
        histories: &[History],
        explained: &History,
        cut: Cut,
    ) -> Result<Option<Self>, Error> {
        if players_of(explained, &[], cut).is_empty() {
            return Ok(None);
        }
        let candidates = Candidates::new(config, histories, explained, cut);
        let in_stage = match config.background {
            Likeness::Category => None,
            Likeness::Stage => candidates.in_stage(model)?,
        };
        let candidates = in_stage.unwrap_or_else(|| candidates.in_category());
        if candidates.is_empty() {
            return Ok(None);
        }
        let points = standardised(candidates.iter().map(|of| shape(of, cut.origin)).collect());
        let (medoids, weights) = medoids(&points, config.n_background);
        let histories = medoids.into_iter().map(|at| candidates[at].clone()).collect();
        Ok(Some(Self { histories, weights, is_conditional: config.conditional }))
    }

    /// Digest of what stands in: series, their inputs and weights, and whether these depend on what is
    /// kept.
    pub fn digest(&self) -> Digest {
        let told = |(history, weight): (&History, &f64)| {
            let inputs = history.inputs_digest(&panel::Plan::default());
            format!("{} {inputs} {weight}", history.series)
        };
        let mut told: Vec<String> = self.histories.iter().zip(&self.weights).map(told).collect();
        told.extend(self.is_conditional.then(|| "conditional".to_owned()));
        Digest::of(told.join("\n"))
    }
}

/// Series that could stand in.
struct Candidates<'a> {
    config: &'a Config,
    explained: &'a History,
    origin: Period,
    /// From those that share the longest part of the category's path to all.
    groups: Vec<Vec<&'a History>>,
}

impl<'a> Candidates<'a> {
    fn new(config: &'a Config, histories: &'a [History], explained: &'a History, cut: Cut) -> Self {
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
        let mut groups: Vec<_> = (0..=path.len()).rev().map(|depth| like(depth, true)).collect();
        groups.push(like(0, false));
        Self { config, explained, origin: cut.origin, groups }
    }

    fn n_enough(&self) -> usize {
        2 * self.config.n_background
    }

    /// The first group of enough.
    fn in_category(&self) -> Vec<History> {
        let mut groups = self.groups.iter();
        let enough = groups.find(|group| group.len() >= self.n_enough());
        enough.or(self.groups.last()).map(|group| self.some_of(group)).unwrap_or_default()
    }

    /// Those in the same stage, from the first group with enough of them; else from the one with the
    /// most; none where that is nothing, or the model gives no stage.
    fn in_stage(&self, model: &dyn Explained) -> Result<Option<Vec<History>>, Error> {
        let own = self.stages(model, std::slice::from_ref(self.explained))?;
        let Some(own) = own.first().copied().flatten() else { return Ok(None) };
        let mut found = Vec::new();
        let last = self.groups.len() - 1;
        for (place, group) in self.groups.iter().enumerate() {
            let is_asked = place > 0 && group.len() == self.groups[place - 1].len();
            if is_asked || group.len() < self.n_enough() && place < last {
                continue;
            }
            let some = self.some_of(group);
            let stages = self.stages(model, &some)?;
            let both = some.into_iter().zip(stages);
            let of_stage: Vec<History> =
                both.filter(|(_, stage)| *stage == Some(own)).map(|(of, _)| of).collect();
            // A wider group is sampled, and may hold fewer.
            if of_stage.len() > found.len() {
                found = of_stage;
            }
            if found.len() >= self.n_enough() {
                break;
            }
        }
        Ok((!found.is_empty()).then_some(found))
    }

    /// The likeliest stage of each at the origin.
    fn stages(
        &self,
        model: &dyn Explained,
        known: &[History],
    ) -> Result<Vec<Option<Stage>>, Error> {
        let unaltered = |of: &History| Altered { history: of.clone(), plan: Plan::default() };
        let unaltered: Vec<Altered> = known.iter().map(unaltered).collect();
        let forecasts = model.forecasts(&unaltered, self.origin)?;
        Ok(forecasts.iter().map(|of| of.stage_now.map(|stages| stages.likeliest())).collect())
    }

    /// As many as are clustered, as known at the origin, in an order by seed and product.
    fn some_of(&self, group: &[&History]) -> Vec<History> {
        let key = |other: &History| {
            let (seed, explained) = (self.config.seed, &self.explained.series);
            Digest::of(format!("{seed}/{explained}/{}", other.series))
        };
        let mut keyed: Vec<(Digest, &History)> =
            group.iter().map(|other| (key(other), *other)).collect();
        keyed.sort_by_key(|(digest, _)| *digest);
        let chosen = keyed.into_iter().take(CANDIDATES_MAX);
        chosen.filter_map(|(_, other)| other.known_at(self.origin)).collect()
    }
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
    use lifecycle::{Forecast, Frequency, Outlook, Series, StageProbabilities};
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

    /// Answers growth where the last 13 weeks sold more than the first, else decline; nothing else.
    #[derive(Debug)]
    struct Trend;

    impl Explained for Trend {
        fn names(&self) -> Vec<String> {
            Vec::new()
        }

        fn outputs(&self, histories: &[History], _: Period) -> Result<Vec<Vec<f64>>, Error> {
            Ok(vec![Vec::new(); histories.len()])
        }

        fn forecasts(&self, altered: &[Altered], origin: Period) -> Result<Vec<Forecast>, Error> {
            let forecast = |Altered { history, .. }: &Altered| {
                assert!(history.start.plus(history.n_periods() as i32 - 1) <= origin);
                let units = history.channel(Channel::Units);
                let sum = |of: &[f32]| of.iter().sum::<f32>();
                let is_growing = sum(&units[units.len() - 13..]) > sum(&units[..13]);
                let stage = if is_growing { Stage::Growth } else { Stage::Decline };
                let weights = Stage::ALL.map(|of| if of == stage { 1.0 } else { 0.0 });
                Forecast {
                    series: history.series.clone(),
                    origin,
                    units: None,
                    stage_now: Some(StageProbabilities::from_weights(weights)),
                    outlooks: [Outlook { turns: None, stage: None }; 3],
                    cold_start: false,
                    far_from_training: false,
                }
            };
            Ok(altered.iter().map(forecast).collect())
        }
    }

    /// What stands in for the first history.
    fn found(config: &Config, histories: &[History]) -> Option<Background> {
        let explained = histories[0].known_at(cut().origin).expect("it has begun");
        Background::of(config, &Trend, histories, &explained, cut()).expect("no error")
    }

    fn kinds(background: &Background) -> Vec<String> {
        let kind = |history: &History| history.series.to_string()[..6].to_owned();
        let mut kinds: Vec<String> = background.histories.iter().map(kind).collect();
        kinds.sort();
        kinds
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
        let background = found(&config, &histories).expect("there are others");
        assert_eq!(kinds(&background), ["fading", "rising"]);
        for weight in &background.weights {
            assert!((weight - 0.5).abs() < 1e-9);
        }
        let again = found(&config, &histories);
        assert_eq!(again.expect("the same").digest(), background.digest());
        assert_eq!(found(&config, &histories[..1]), None);
        let conditional = found(&Config { conditional: true, ..config }, &histories);
        assert_ne!(conditional.expect("the same").digest(), background.digest());
    }

    #[test]
    fn what_stands_in_is_in_the_same_stage_where_that_is_wanted_and_there_is_any() {
        let mut histories = vec![history("own", "mugs", |week| week as f32)];
        let rising = |week: usize| 1.0 + (week * week) as f32;
        histories.extend((0..4).map(|at| {
            history(&format!("fading-{at}"), "mugs", |week| (110 * (at + 1) - week) as f32)
        }));
        let config = Config { n_background: 2, background: Likeness::Stage, ..Config::default() };
        let kinds_of = |histories: &[History]| kinds(&found(&config, histories).expect("others"));
        assert_eq!(kinds_of(&histories), ["fading", "fading"], "there is no other");
        histories.push(history("rising-0", "mugs", rising));
        assert_eq!(kinds_of(&histories), ["rising"], "one is better than another stage");
        histories.extend((0..4).map(|at| {
            history(&format!("lamp-{at}"), "lamps", move |week| (week * (at + 1) + at) as f32)
        }));
        let found = kinds_of(&histories);
        assert!(!found.iter().any(|kind| kind.starts_with("fading")), "{found:?}");
        assert!(found.iter().any(|kind| kind.starts_with("lamp")), "{found:?}: of any category");
        histories.retain(|history| !history.series.to_string().starts_with("lamp"));
        histories.extend((1..3).map(|at| history(&format!("rising-{at}"), "mugs", rising)));
        let many = (0..8 * CANDIDATES_MAX).map(|at| format!("fading-{}", at + 4));
        histories.extend(many.map(|name| history(&name, "vases", |week| (110 - week) as f32)));
        let found = kinds_of(&histories);
        assert!(found.iter().all(|kind| kind == "rising"), "{found:?}: the sample may miss them");
    }

    #[test]
    fn what_comes_after_the_origin_changes_nothing_of_what_stands_in() {
        let mut histories = vec![history("own", "mugs", |_| 4.0)];
        histories.extend(
            (0..6).map(|at| history(&format!("mug-{at}"), "mugs", |week| (week % (at + 2)) as f32)),
        );
        histories.push(history("unborn", "mugs", |_| 0.0));
        let of = |background, histories: &[History]| {
            let config = Config { n_background: 3, background, ..Config::default() };
            found(&config, histories).expect("there are others")
        };
        let both = |histories: &[History]| {
            [Likeness::Category, Likeness::Stage].map(|likeness| of(likeness, histories))
        };
        let expected = both(&histories);
        for history in &mut histories[1..] {
            let units = &mut history.channels[Channel::Units as usize];
            units[106..].fill(900.0);
            // A return of the origin's week that becomes known two weeks later.
            units[105] -= 1.0;
            let (period, known) = (Period(105), Period(107));
            history.corrections.push(Correction { period, known, change: -1.0 });
        }
        let found = both(&histories);
        assert_eq!(found, expected);
        assert_eq!(found.map(|of| of.digest()), expected.map(|of| of.digest()));
    }

    #[test]
    fn what_no_longer_sells_does_not_stand_in_for_what_sells() {
        let is_early = |week: usize| f32::from(u8::from(week < 60));
        let mut histories = vec![history("own", "mugs", |_| 4.0)];
        histories.extend((0..9).map(|at| history(&format!("dead-{at}"), "mugs", is_early)));
        let names = |histories: &[History], config: &Config| {
            let found = found(config, histories).expect("there are others").histories;
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
