//! What of a base model is trained, as a map between two flat vectors: the trained numbers and the
//! network's weights.
//!
//! The loop, the optimiser and the checkpoints know only the trained numbers. Before a step they
//! become weights; after it the gradient of the weights becomes theirs by the chain rule. So a
//! low-rank update needs no code in the network, and what is published is a plain model.

use std::ops::Range;

use model::{Layout, initial_weights};

use crate::config::{Adapt, Config};

/// A low-rank update is multiplied by this over its rank (`alpha` of Hu et al. 2021).
const ALPHA: f32 = 8.0;

/// Between which shares of the steps ranks are set to nothing.
const PRUNING: (f64, f64) = (0.1, 0.5);

/// The trained numbers of one training, and how they make weights.
#[derive(Debug, Clone)]
pub(crate) struct Adaptation {
    /// Weights that training starts from.
    base: Vec<f32>,
    /// Paths and shapes of the trained numbers.
    pub(crate) trained: Layout,
    parts: Vec<Part>,
}

/// Where some trained numbers go.
#[derive(Debug, Clone)]
enum Part {
    /// Each is a weight.
    Whole { weights: Range<usize>, trained: Range<usize> },
    /// A matrix of weights is its base plus `left` times `right`, with `sizes` on the diagonal
    /// between them where ranks are moved (else empty).
    LowRank {
        weights: Range<usize>,
        left: Range<usize>,
        sizes: Range<usize>,
        right: Range<usize>,
        rank: usize,
    },
}

impl Adaptation {
    /// What `config` trains of a network with this layout, from these weights.
    pub(crate) fn new(layout: &Layout, base: Vec<f32>, config: &Config) -> Self {
        let mut adaptation = Self { base, trained: Layout::default(), parts: Vec::new() };
        let mut end = 0;
        for (path, shape, weights) in layout.places() {
            let is_matrix = path.ends_with("weight");
            match config.adapt {
                Adapt::Full => adaptation.whole(path, shape, weights, &mut end),
                Adapt::Probe if is_of_head(path) => {
                    adaptation.whole(path, shape, weights, &mut end);
                }
                Adapt::Adapter if path.contains("adapter") || is_bias_of_head(path) => {
                    adaptation.whole(path, shape, weights, &mut end);
                }
                Adapt::Lora | Adapt::Adalora if is_matrix => {
                    adaptation.low_rank(path, (shape[0], shape[1]), weights, (config, &mut end));
                }
                Adapt::Lora | Adapt::Adalora if path.ends_with("bias") => {
                    adaptation.whole(path, shape, weights, &mut end);
                }
                _ => {}
            }
        }
        adaptation
    }

    fn whole(&mut self, path: &str, shape: &[usize], weights: Range<usize>, end: &mut usize) {
        let trained = *end..*end + weights.len();
        *end = trained.end;
        self.trained.parameters.push((path.to_owned(), shape.to_vec()));
        self.parts.push(Part::Whole { weights, trained });
    }

    fn low_rank(
        &mut self,
        path: &str,
        (n_in, n_out): (usize, usize),
        weights: Range<usize>,
        (config, end): (&Config, &mut usize),
    ) {
        let rank = match config.adapt {
            Adapt::Adalora => 2 * config.rank,
            _ => config.rank,
        };
        let rank = rank.min(n_in).min(n_out);
        let mut place = |suffix: &str, shape: Vec<usize>| {
            let range = *end..*end + shape.iter().product::<usize>();
            *end = range.end;
            self.trained.parameters.push((format!("{path}.{suffix}"), shape));
            range
        };
        let left = place("lora_left", vec![n_in, rank]);
        let n_sizes = if config.adapt == Adapt::Adalora { rank } else { 0 };
        let sizes = place("lora_sizes", vec![n_sizes]);
        let right = place("lora_right", vec![rank, n_out]);
        self.parts.push(Part::LowRank { weights, left, sizes, right, rank });
    }

    /// The weights that training starts from.
    pub(crate) fn base(&self) -> &[f32] {
        &self.base
    }

    /// Trained numbers before the first step: those whose weights are the base.
    pub(crate) fn start(&self, seed: u64) -> Vec<f32> {
        let mut trained = vec![0.0; self.trained.n_values()];
        // Uniform within the same bounds as a network's own matrices, by the path's end.
        let named = |(path, shape): &(String, Vec<usize>)| {
            let is_drawn = path.ends_with("lora_left") || path.ends_with("lora_right");
            (if is_drawn { "weight".to_owned() } else { path.clone() }, shape.clone())
        };
        let as_matrices = self.trained.parameters.iter().map(named).collect();
        let drawn = initial_weights(&Layout { parameters: as_matrices }, seed);
        for part in &self.parts {
            match part {
                Part::Whole { weights, trained: place } => {
                    trained[place.clone()].copy_from_slice(&self.base[weights.clone()]);
                }
                Part::LowRank { left, sizes, right, .. } => {
                    trained[left.clone()].copy_from_slice(&drawn[left.clone()]);
                    if !sizes.is_empty() {
                        trained[right.clone()].copy_from_slice(&drawn[right.clone()]);
                    }
                }
            }
        }
        trained
    }

    /// The network's weights.
    pub(crate) fn weights(&self, trained: &[f32]) -> Vec<f32> {
        let mut all = self.base.clone();
        for part in &self.parts {
            match part {
                Part::Whole { weights, trained: place } => {
                    all[weights.clone()].copy_from_slice(&trained[place.clone()]);
                }
                Part::LowRank { weights, left, sizes, right, rank } => {
                    let update = LowRank::of(trained, (left, sizes, right), *rank);
                    update.add_to(&mut all[weights.clone()]);
                }
            }
        }
        all
    }

    /// The gradient of the trained numbers from that of the weights.
    pub(crate) fn gradient(&self, trained: &[f32], of_weights: &[f32]) -> Vec<f32> {
        let mut gradient = vec![0.0; trained.len()];
        for part in &self.parts {
            match part {
                Part::Whole { weights, trained: place } => {
                    gradient[place.clone()].copy_from_slice(&of_weights[weights.clone()]);
                }
                Part::LowRank { weights, left, sizes, right, rank } => {
                    let update = LowRank::of(trained, (left, sizes, right), *rank);
                    let slopes = update.gradient(&of_weights[weights.clone()]);
                    for (range, slopes) in [left, sizes, right].into_iter().zip(slopes) {
                        gradient[range.clone()].copy_from_slice(&slopes);
                    }
                }
            }
        }
        gradient
    }

    /// Sets ranks to nothing, those with the smallest update first, until after a part of the steps
    /// half of them is left over all matrices: the budget. Later none comes back. (`AdaLoRA` with
    /// its importance by magnitude and its cubic schedule.)
    pub(crate) fn prune(&self, trained: &mut [f32], step: u64, config: &Config) {
        let done = step as f64 / config.steps_max as f64;
        let kept = |(begin, end): (f64, f64)| {
            let left = ((end - done) / (end - begin)).clamp(0.0, 1.0);
            0.5 + 0.5 * left.powi(3)
        };
        let mut ranks: Vec<(f32, usize)> = Vec::new();
        for part in &self.parts {
            let Part::LowRank { left, sizes, right, rank, .. } = part else { continue };
            let update = LowRank::of(trained, (left, sizes, right), *rank);
            ranks.extend(sizes.clone().enumerate().map(|(k, place)| (update.norm(k), place)));
        }
        ranks.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let n_kept = (ranks.len() as f64 * kept(PRUNING)).ceil() as usize;
        for (_, place) in ranks.into_iter().skip(n_kept) {
            trained[place] = 0.0;
        }
    }

    /// Ranks that are not nothing, and all.
    pub(crate) fn n_ranks(&self, trained: &[f32]) -> (usize, usize) {
        let sizes = self.parts.iter().filter_map(|part| match part {
            Part::LowRank { sizes, .. } => Some(sizes.clone()),
            Part::Whole { .. } => None,
        });
        let sizes: Vec<usize> = sizes.flatten().collect();
        (sizes.iter().filter(|place| trained[**place] != 0.0).count(), sizes.len())
    }
}

/// Whether all ranks that go have gone by this step.
pub(crate) fn is_settled(step: u64, config: &Config) -> bool {
    config.adapt != Adapt::Adalora || step as f64 >= PRUNING.1 * config.steps_max as f64
}

/// An update of low rank to one matrix.
struct LowRank<'a> {
    left: &'a [f32],
    sizes: &'a [f32],
    right: &'a [f32],
    rank: usize,
    n_out: usize,
}

impl<'a> LowRank<'a> {
    fn of(
        trained: &'a [f32],
        (left, sizes, right): (&Range<usize>, &Range<usize>, &Range<usize>),
        rank: usize,
    ) -> Self {
        Self {
            left: &trained[left.clone()],
            sizes: &trained[sizes.clone()],
            right: &trained[right.clone()],
            rank,
            n_out: right.len() / rank,
        }
    }

    /// The norm of one rank's update.
    fn norm(&self, rank: usize) -> f32 {
        let left = self.left.iter().skip(rank).step_by(self.rank).map(|x| x * x).sum::<f32>();
        let right = &self.right[rank * self.n_out..(rank + 1) * self.n_out];
        let right = right.iter().map(|x| x * x).sum::<f32>();
        self.size(rank).abs() * (left * right).sqrt()
    }

    /// What each rank is multiplied by.
    fn size(&self, rank: usize) -> f32 {
        let scale = ALPHA / self.rank as f32;
        self.sizes.get(rank).map_or(scale, |size| scale * size)
    }

    fn add_to(&self, weights: &mut [f32]) {
        let rows = weights.chunks_exact_mut(self.n_out).zip(self.left.chunks_exact(self.rank));
        for (weights, left) in rows {
            for (rank, of_left) in left.iter().enumerate() {
                let factor = of_left * self.size(rank);
                let right = &self.right[rank * self.n_out..(rank + 1) * self.n_out];
                for (weight, of_right) in weights.iter_mut().zip(right) {
                    *weight += factor * of_right;
                }
            }
        }
    }

    /// Gradients of left, sizes and right.
    fn gradient(&self, of_weights: &[f32]) -> [Vec<f32>; 3] {
        let mut left = vec![0.0; self.left.len()];
        let mut sizes = vec![0.0; self.sizes.len()];
        let mut right = vec![0.0; self.right.len()];
        let rows = of_weights.chunks_exact(self.n_out).zip(self.left.chunks_exact(self.rank));
        for (row, (slopes, of_left)) in rows.enumerate() {
            for (rank, of_left) in of_left.iter().enumerate() {
                let place = rank * self.n_out..(rank + 1) * self.n_out;
                let size = self.size(rank);
                let mut along = 0.0;
                for ((slope, of_right), sum) in
                    slopes.iter().zip(&self.right[place.clone()]).zip(&mut right[place])
                {
                    along += slope * of_right;
                    *sum += size * of_left * slope;
                }
                left[row * self.rank + rank] = size * along;
                if let Some(sum) = sizes.get_mut(rank) {
                    *sum += ALPHA / self.rank as f32 * of_left * along;
                }
            }
        }
        [left, sizes, right]
    }
}

fn is_of_head(path: &str) -> bool {
    path.split('.').next().is_some_and(|name| name.ends_with("_head"))
}

fn is_bias_of_head(path: &str) -> bool {
    is_of_head(path) && path.ends_with("bias")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        let parameters = [
            ("patch_in.weight", vec![3, 4]),
            ("patch_in.bias", vec![4]),
            ("norm.scale", vec![4]),
            ("units_head.weight", vec![4, 2]),
            ("units_head.bias", vec![2]),
        ];
        Layout { parameters: parameters.map(|(path, shape)| (path.to_owned(), shape)).to_vec() }
    }

    fn adaptation(adapt: Adapt) -> Adaptation {
        let base: Vec<f32> = (0..layout().n_values()).map(|n| (n % 7) as f32 / 7.0 - 0.4).collect();
        Adaptation::new(&layout(), base, &Config { adapt, rank: 2, ..Config::default() })
    }

    #[test]
    fn training_starts_at_the_base() {
        for adapt in [Adapt::Full, Adapt::Probe, Adapt::Lora, Adapt::Adalora] {
            let adaptation = adaptation(adapt);
            assert_eq!(adaptation.weights(&adaptation.start(5)), adaptation.base, "{adapt:?}");
        }
        assert_eq!(adaptation(Adapt::Probe).trained.n_values(), 10);
        assert_eq!(adaptation(Adapt::Full).trained, layout());
    }

    #[test]
    fn ranks_are_pruned_to_their_budget_the_smallest_first() {
        let adaptation = adaptation(Adapt::Adalora);
        let config = Config { steps_max: 100, ..Config::default() };
        let mut trained = adaptation.start(5);
        trained.iter_mut().enumerate().for_each(|(n, value)| *value += 0.1 + n as f32 / 50.0);
        let (begun, n_ranks) = adaptation.n_ranks(&trained);
        assert_eq!(begun, n_ranks);
        adaptation.prune(&mut trained, 5, &config);
        assert_eq!(adaptation.n_ranks(&trained).0, n_ranks);
        adaptation.prune(&mut trained, 60, &config);
        assert_eq!(adaptation.n_ranks(&trained).0, n_ranks.div_ceil(2));
    }

    #[test]
    fn gradients_are_the_slopes_of_the_weights() {
        // Of a loss that is a weighted sum of the weights.
        let of_weights: Vec<f32> =
            (0..layout().n_values()).map(|n| (n * 5 % 11) as f32 / 5.0 - 1.0).collect();
        let loss = |weights: &[f32]| -> f32 {
            weights.iter().zip(&of_weights).map(|(weight, slope)| weight * slope).sum()
        };
        for adapt in [Adapt::Full, Adapt::Lora, Adapt::Adalora] {
            let adaptation = adaptation(adapt);
            let mut trained = adaptation.start(5);
            for (place, value) in trained.iter_mut().enumerate() {
                *value += (place % 5) as f32 / 9.0;
            }
            let gradient = adaptation.gradient(&trained, &of_weights);
            for place in 0..trained.len() {
                let shifted = |by: f32| {
                    let mut trained = trained.clone();
                    trained[place] += by;
                    loss(&adaptation.weights(&trained))
                };
                let measured = (shifted(0.1) - shifted(-0.1)) / 0.2;
                let found = gradient[place];
                assert!((measured - found).abs() < 2e-3, "{adapt:?} {place}: {measured} {found}");
            }
        }
    }
}
