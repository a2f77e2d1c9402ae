//! Which products a model is most in doubt about: those over whose stages its voices disagree.
//!
//! The score is the information that a label is expected to carry about the model (Houlsby et al.
//! 2011, `BALD`), with the committee of query by committee (Seung et al. 1992): the entropy of the
//! mean of the voices less the mean of their entropies. Voices are the member networks and the
//! trees, each at the temperature of the whole. A model of one voice has no disagreement; its
//! products are chosen by entropy. Products are taken greedily, and a category counts the less the
//! more of it was taken, so that one odd category does not fill the list.

use std::collections::BTreeMap;
use std::path::Path;

use lifecycle::{Part, Period, ProductId, Stage};
use model::{Blend, Model, Outputs, Workers, softmax_of, stage_logits};
use panel::{Cutter, History, Window, category_units};
use serde::{Deserialize, Serialize};
use tables::FeaturesDir;

use crate::config::Config;
use crate::rows::is_labelled;
use crate::stage::Error;

/// Origins of a product that are looked at, at most: spread evenly over its training periods.
const N_ORIGINS: usize = 6;

/// Windows in one forward pass.
const BATCH: usize = 64;

/// A product to be looked at by somebody who knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suggestion {
    /// Which.
    pub product: ProductId,
    /// Its category, if it has one.
    pub category: Option<String>,
    /// First day of the period where the voices disagree most.
    pub origin: String,
    /// What the model says there: introduction, growth, maturity, decline.
    pub stages: [f32; 4],
    /// Nats that a label is expected to tell, over the product's periods.
    pub information: f64,
    /// Why this one, in words.
    pub reason: String,
}

/// One product's most doubtful period.
struct Candidate<'a> {
    history: &'a History,
    origin: Period,
    stages: [f32; 4],
    /// Mean over its origins.
    information: f64,
}

/// The `n` products whose labels would help a model of these features most. Asked about are the
/// seen products that the configuration learns nothing from; where it learns from all, those whose
/// stage nobody gave.
pub fn suggestions(
    model: &Path,
    features: &Path,
    config: &Config,
    n: usize,
) -> Result<Vec<Suggestion>, Error> {
    let model = Model::load(model).map_err(Error::Model)?;
    let features = FeaturesDir::open(features).map_err(Error::Features)?;
    let panel = features.panel().map_err(Error::Features)?;
    let categories = category_units(&panel);
    let cutter = Cutter::new(features.meta(), &categories, model.fitted());
    let learns_all = config.labelled >= 1.0;
    let is_asked = |history: &&History| {
        let product = &history.series.product;
        let is_known =
            if learns_all { !history.given_stage.is_empty() } else { is_labelled(product, config) };
        !features.unseen().contains(product) && !is_known
    };
    let asked: Vec<&History> = panel.histories.iter().filter(is_asked).collect();
    let committee = Committee::new(&model);
    let origins = |history: &History| {
        let last = features.split().last_training_period();
        let trains = |origin: &Period| features.split().part(*origin, 0) == Some(Part::Train);
        let all: Vec<Period> =
            (history.start.0..=last.0).map(Period).filter(trains).skip(1).collect();
        let stride = all.len().div_ceil(N_ORIGINS).max(1);
        all.into_iter().rev().step_by(stride).collect::<Vec<_>>()
    };
    let of_product = |_, history: &&'_ History| {
        let windows = cutter.windows(history, &origins(history));
        let windows: Vec<&Window> = windows.iter().collect();
        let judged: Vec<_> = windows.chunks(BATCH).flat_map(|w| committee.judge(w)).collect();
        let most = judged.iter().enumerate().max_by(|(_, a), (_, b)| a.1.total_cmp(&b.1));
        let (place, (stages, _)) = most?;
        let information = judged.iter().map(|(_, nats)| nats).sum::<f64>() / judged.len() as f64;
        Some((windows[place].origin, *stages, information))
    };
    let judged = Workers::default().map(&asked, of_product);
    let candidates = asked.into_iter().zip(judged).filter_map(|(history, judged)| {
        let (origin, stages, information) = judged?;
        Some(Candidate { history, origin, stages, information })
    });
    let candidates: Vec<Candidate<'_>> = candidates.collect();
    let scored: Vec<(&str, f64)> =
        candidates.iter().map(|c| (c.category().unwrap_or(""), c.information)).collect();
    let day = |origin| features.meta().frequency.first_day(origin).to_string();
    let told = |(place, rank): (usize, usize)| {
        let candidate = &candidates[place];
        candidate.told(day(candidate.origin), rank, committee.n_voices())
    };
    Ok(diverse(&scored, n).into_iter().map(told).collect())
}

/// The voices of a model.
struct Committee<'a> {
    model: &'a Model,
    blend: Blend,
}

impl<'a> Committee<'a> {
    fn new(model: &'a Model) -> Self {
        let calibrations = &model.description().calibrations;
        let calibration = calibrations.get(&model.fitted().frequency());
        Self {
            model,
            blend: calibration.map_or_else(Blend::default, |calibration| calibration.stage_now),
        }
    }

    /// Whether there is anything to disagree.
    fn n_voices(&self) -> usize {
        self.model.members().len() + usize::from(self.model.trees().is_some())
    }

    /// For each window the mean of the voices and the information in nats.
    fn judge(&self, windows: &[&Window]) -> Vec<([f32; 4], f64)> {
        let outputs: Vec<Outputs> =
            self.model.members().iter().map(|member| member.outputs(windows)).collect();
        let of_members: Vec<Vec<_>> = outputs.iter().map(|o| o.rows().collect()).collect();
        let trees = self.model.trees().map(|trees| trees.logits(windows));
        // Each voice at the temperature of the whole.
        let Blend { network, trees: of_trees, builtin, bias } = self.blend;
        let alone = Blend { network: network + of_trees + builtin, bias, ..Blend::default() };
        let at_temperature = |logits: &[f32]| softmax_of(&alone.of(logits, [&[], &[]]));
        let of_window = |place: usize| {
            let rows = of_members.iter().map(|rows| rows[place]);
            let mut voices: Vec<Vec<f32>> =
                rows.map(|row| at_temperature(stage_logits(row.stages, None))).collect();
            if let Some(trees) = &trees {
                voices.push(at_temperature(stage_logits(&trees[place].stages, None)));
            }
            information(&voices)
        };
        (0..windows.len()).map(of_window).collect()
    }
}

/// The mean of the voices, and the entropy of the mean less the mean of their entropies; of one voice
/// its entropy.
fn information(voices: &[Vec<f32>]) -> ([f32; 4], f64) {
    let n = voices.len() as f32;
    let mean = std::array::from_fn(|stage| voices.iter().map(|v| v[stage]).sum::<f32>() / n);
    let of_voices = voices.iter().map(|voice| entropy(voice)).sum::<f64>() / f64::from(n);
    let known = if voices.len() == 1 { 0.0 } else { of_voices };
    (mean, (entropy(&mean) - known).max(0.0))
}

fn entropy(probabilities: &[f32]) -> f64 {
    probabilities.iter().map(|p| -f64::from(*p) * f64::from(p.max(1e-30)).ln()).sum()
}

/// Takes `n` of some products, of which each has a category and an information, one by one: each
/// time the one whose information counts most, which is by one and the share that its category
/// already got of what is due to its size. Answers place and rank in its category.
fn diverse(products: &[(&str, f64)], n: usize) -> Vec<(usize, usize)> {
    let mut queues: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut order: Vec<usize> = (0..products.len()).collect();
    // The best last, where it is popped.
    order.sort_by(|a, b| products[*a].1.total_cmp(&products[*b].1).then(b.cmp(a)));
    for place in order {
        queues.entry(products[place].0).or_default().push(place);
    }
    let due = |size: usize| (n * size) as f64 / products.len() as f64;
    let mut queues: Vec<(Vec<usize>, f64, usize)> = queues
        .into_values()
        .map(|queue| (due(queue.len()).max(1.0), queue))
        .map(|(due, queue)| (queue, due, 0))
        .collect();
    let mut chosen = Vec::new();
    while chosen.len() < n {
        let worth = |(queue, due, n_taken): &(Vec<usize>, f64, usize)| {
            let information = queue.last().map(|place| products[*place].1);
            information.map_or(f64::NEG_INFINITY, |nats| nats / (1.0 + *n_taken as f64 / due))
        };
        let best = queues.iter_mut().reduce(
            |best, queue| {
                if worth(queue) > worth(best) { queue } else { best }
            },
        );
        let Some((queue, _, n_taken)) = best else { break };
        let Some(place) = queue.pop() else { break };
        *n_taken += 1;
        chosen.push((place, *n_taken));
    }
    chosen
}

impl Candidate<'_> {
    fn category(&self) -> Option<&str> {
        self.history.statics.category.first().map(String::as_str)
    }

    fn told(&self, origin: String, rank: usize, n_voices: usize) -> Suggestion {
        let mut order: Vec<usize> = (0..4).collect();
        order.sort_by(|a, b| self.stages[*b].total_cmp(&self.stages[*a]));
        let stage = |place: usize| {
            let stage = order[place];
            format!("{} {:.2}", Stage::ALL[stage].name(), self.stages[stage])
        };
        let why = match n_voices {
            1 => "the model is in doubt".to_owned(),
            n => format!("{n} voices disagree"),
        };
        let of_category =
            self.category().map_or_else(String::new, |category| format!(", {rank} of {category}"));
        let (first, second, nats) = (stage(0), stage(1), self.information);
        Suggestion {
            product: self.history.series.product.clone(),
            category: self.category().map(str::to_owned),
            origin,
            stages: self.stages,
            information: self.information,
            reason: format!("{why} by {nats:.3} nats: {first} or {second}{of_category}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_informative_come_first_and_no_category_fills_the_list() {
        let products = [("a", 0.9), ("a", 0.8), ("b", 0.4), ("a", 0.7), ("b", 0.1), ("a", 0.6)];
        let places = |n| diverse(&products, n).into_iter().map(|(place, _)| place);
        assert_eq!(places(3).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(diverse(&products, 5), [(0, 1), (1, 2), (3, 3), (2, 1), (5, 4)]);
        assert_eq!(places(99).count(), 6);
        assert_eq!(diverse(&[], 3), []);
    }

    #[test]
    fn voices_that_agree_tell_nothing() {
        assert_eq!(entropy(&[1.0, 0.0, 0.0, 0.0]), 0.0);
        assert!((entropy(&[0.25; 4]) - 4.0_f64.ln()).abs() < 1e-6);
        let information = |voices: &[[f32; 4]]| {
            information(&voices.iter().map(|voice| voice.to_vec()).collect::<Vec<_>>()).1
        };
        assert!(information(&[[0.7, 0.3, 0.0, 0.0]; 2]) < 1e-6);
        let disagree = information(&[[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]);
        assert!((disagree - 2.0_f64.ln()).abs() < 1e-6);
        assert!((information(&[[0.5, 0.5, 0.0, 0.0]]) - 2.0_f64.ln()).abs() < 1e-6);
    }
}
