//! Boosted trees for classes that are known as probabilities (Friedman 2001, "Greedy function
//! approximation"), on histograms and leaf by leaf (Ke et al. 2017, `LightGBM`).
//!
//! A round adds a tree for each class, fitted to the gradient of the cross-entropy on a share of the
//! rows and inputs. Rounds end when validation rows no longer gain. One head is grown on one thread,
//! in a fixed order: the same rows give the same bytes.

use model::{Boosted, N_TREE_INPUTS, Node, Noise, Tree, Trees, Workers, softmax_of, tree_inputs};

use crate::rows::{Row, Target};

/// Bins of an input.
const N_BINS: usize = 64;
/// Leaves of a tree, at most.
const N_LEAVES_MAX: usize = 15;
/// Rounds, at most.
const N_ROUNDS_MAX: usize = 300;
/// Rounds without a gain before growing ends.
const PATIENCE: usize = 20;
/// What a tree's answers are multiplied by.
const RATE: f32 = 0.1;
/// Pull of leaves towards nothing, in units of curvature.
const LAMBDA: f64 = 10.0;
/// Share of the rows that a round sees, and share of the inputs that a tree sees.
const ROWS_SEEN: f32 = 0.7;
const INPUTS_SEEN: f32 = 0.3;
/// Rows of a leaf, at least: a share of all, within bounds.
const LEAF_SHARE: f64 = 0.003;
const LEAF_BOUNDS: (usize, usize) = (10, 100);

/// One row of a head: what is seen, what came as probabilities of the classes, and its weight.
#[derive(Debug, Clone)]
pub(crate) struct Sample<'a> {
    pub(crate) inputs: &'a [f32],
    pub(crate) truth: [f32; 5],
    pub(crate) weight: f32,
}

/// Probabilities of the classes, and the weight of their row.
type Weighted = ([f32; 5], f32);

/// Inputs as bins, input by input, and the greatest value of each bin.
struct Binned {
    bins: Vec<Vec<u8>>,
    edges: Vec<Vec<f32>>,
}

impl Binned {
    fn new(samples: &[Sample<'_>]) -> Self {
        let stride = samples.len().div_ceil(20_000).max(1);
        let of_input = |input: usize| {
            let mut values: Vec<f32> =
                samples.iter().step_by(stride).map(|sample| sample.inputs[input]).collect();
            values.sort_unstable_by(f32::total_cmp);
            let at = |bin: usize| values[((bin + 1) * values.len() / N_BINS).max(1) - 1];
            let mut edges: Vec<f32> = (0..N_BINS - 1).map(at).collect();
            edges.dedup();
            edges
        };
        let edges: Vec<Vec<f32>> = (0..N_TREE_INPUTS).map(of_input).collect();
        let bins = edges.iter().enumerate().map(|(input, edges)| {
            let bin = |sample: &Sample<'_>| {
                edges.partition_point(|edge| *edge < sample.inputs[input]) as u8
            };
            samples.iter().map(bin).collect()
        });
        Self { bins: bins.collect(), edges }
    }
}

/// Sums over the rows of a bin: gradient, curvature, rows.
type Sum = [f64; 3];

/// Gradient, curvature and rows by bin, for each input that a tree sees.
type Histograms = Vec<[[f32; 3]; N_BINS]>;

/// A leaf that may be split.
struct Leaf {
    rows: Vec<u32>,
    total: Sum,
    histograms: Histograms,
    best: Option<Split>,
    /// Where it hangs: a node and its side.
    parent: Option<(usize, usize)>,
}

#[derive(Clone, Copy)]
struct Split {
    gain: f64,
    input: usize,
    bin: u8,
}

/// Gradient and curvature of a class, by row.
struct Slopes<'a> {
    gradient: &'a [f32],
    curvature: &'a [f32],
}

struct Grower<'a> {
    binned: &'a Binned,
    slopes: Slopes<'a>,
    inputs: &'a [usize],
    n_least: f64,
}

impl Grower<'_> {
    fn tree(&self, rows: Vec<u32>) -> Tree {
        let histograms = self.histograms(&rows);
        let mut leaves = vec![self.leaf(rows, histograms, None)];
        let mut nodes: Vec<Node> = Vec::new();
        while leaves.len() < N_LEAVES_MAX {
            let gain = |leaf: &Leaf| leaf.best.map_or(0.0, |split| split.gain);
            let best = (0..leaves.len())
                .max_by(|a, b| gain(&leaves[*a]).total_cmp(&gain(&leaves[*b])).then(b.cmp(a)));
            let Some((place, split)) = best.and_then(|at| Some((at, leaves[at].best?))) else {
                break;
            };
            let node = nodes.len();
            if let Some((parent, side)) = leaves[place].parent {
                nodes[parent].children[side] = node as i16;
            }
            nodes.push(Node {
                input: split.input as u16,
                threshold: self.binned.edges[split.input][usize::from(split.bin)],
                children: [-1 - place as i16, -1 - leaves.len() as i16],
            });
            let [low, high] = self.children(&mut leaves[place], split, node);
            leaves[place] = low;
            leaves.push(high);
        }
        let value = |leaf: &Leaf| {
            let [gradient, curvature, _] = leaf.total;
            (-gradient / (curvature + LAMBDA)) as f32 * RATE
        };
        Tree { nodes, leaves: leaves.iter().map(value).collect() }
    }

    /// The two leaves of a split. Sums are taken over the smaller one; the other's are the rest.
    fn children(&self, leaf: &mut Leaf, split: Split, node: usize) -> [Leaf; 2] {
        let bins = &self.binned.bins[split.input];
        let (rows, mut rest) =
            (std::mem::take(&mut leaf.rows), std::mem::take(&mut leaf.histograms));
        let (low, high): (Vec<u32>, Vec<u32>) =
            rows.into_iter().partition(|row| bins[*row as usize] <= split.bin);
        let is_low_smaller = low.len() <= high.len();
        let smaller = self.histograms(if is_low_smaller { &low } else { &high });
        for (rest, smaller) in rest.iter_mut().flatten().zip(smaller.iter().flatten()) {
            for (sum, term) in rest.iter_mut().zip(smaller) {
                *sum -= term;
            }
        }
        let (of_low, of_high) = if is_low_smaller { (smaller, rest) } else { (rest, smaller) };
        let low = self.leaf(low, of_low, Some((node, 0)));
        [low, self.leaf(high, of_high, Some((node, 1)))]
    }

    fn histograms(&self, rows: &[u32]) -> Histograms {
        let of_rows = |values: &[f32]| rows.iter().map(|row| values[*row as usize]).collect();
        let gradient: Vec<f32> = of_rows(self.slopes.gradient);
        let curvature: Vec<f32> = of_rows(self.slopes.curvature);
        let of_input = |input: &usize| {
            let bins = &self.binned.bins[*input];
            let mut histogram = [[0.0_f32; 3]; N_BINS];
            let slopes = gradient.iter().zip(&curvature);
            for (row, (gradient, curvature)) in rows.iter().zip(slopes) {
                let sum = &mut histogram[usize::from(bins[*row as usize]) % N_BINS];
                sum[0] += gradient;
                sum[1] += curvature;
                sum[2] += 1.0;
            }
            histogram
        };
        self.inputs.iter().map(of_input).collect()
    }

    fn leaf(&self, rows: Vec<u32>, histograms: Histograms, parent: Option<(usize, usize)>) -> Leaf {
        let sum =
            |values: &[f32]| rows.iter().map(|row| f64::from(values[*row as usize])).sum::<f64>();
        let total = [sum(self.slopes.gradient), sum(self.slopes.curvature), rows.len() as f64];
        let mut best: Option<Split> = None;
        if total[2] >= 2.0 * self.n_least {
            for (input, histogram) in self.inputs.iter().zip(&histograms) {
                let found = self.split(*input, histogram, total);
                if found.is_some_and(|found| best.is_none_or(|best| found.gain > best.gain)) {
                    best = found;
                }
            }
        }
        Leaf { rows, total, histograms, best, parent }
    }

    /// The best split of a leaf on one input.
    fn split(&self, input: usize, histogram: &[[f32; 3]; N_BINS], total: Sum) -> Option<Split> {
        let score = |[gradient, curvature, _]: Sum| gradient * gradient / (curvature + LAMBDA);
        let whole = score(total);
        let mut low = [0.0; 3];
        let mut best: Option<Split> = None;
        for (bin, sums) in histogram.iter().enumerate().take(self.binned.edges[input].len()) {
            for (sum, term) in low.iter_mut().zip(sums) {
                *sum += f64::from(*term);
            }
            let high = std::array::from_fn(|part| total[part] - low[part]);
            if low[2] < self.n_least {
                continue;
            }
            if high[2] < self.n_least {
                break;
            }
            let gain = score(low) + score(high) - whole;
            if gain > 1e-9 && best.is_none_or(|best| gain > best.gain) {
                best = Some(Split { gain, input, bin: bin as u8 });
            }
        }
        best
    }
}

/// Grows the trees of all heads, each on one worker.
pub(crate) fn grow_all(rows: &[Row], seed: u64, workers: &Workers) -> Trees {
    let inputs: Vec<Vec<f32>> = rows.iter().map(|row| tree_inputs(&row.window)).collect();
    let samples = |of_row: &dyn Fn(&Row) -> Option<Weighted>| -> Vec<Sample<'_>> {
        let rows = rows.iter().zip(&inputs);
        let sample = rows.filter_map(|(row, inputs)| {
            let (truth, weight) = of_row(row)?;
            Some(Sample { inputs, truth, weight })
        });
        sample.collect()
    };
    let truth = |target: Option<&Target>, head: usize| match head {
        0..3 => {
            let [silent, halved, neither, doubled] = target?.turns[head]?;
            Some(([silent, halved, neither, doubled, 0.0], 1.0))
        }
        _ => target?.stages[head - 3],
    };
    let grown = workers.map(&[0, 1, 2, 3, 4, 5, 6], |_, head| {
        let train = samples(&|row| truth(row.train.as_ref(), *head));
        let validation = samples(&|row| truth(row.validation.as_ref(), *head));
        grow(&train, &validation, if *head <= 3 { 4 } else { 5 }, seed + *head as u64)
    });
    let mut grown = grown.into_iter();
    let mut next = || grown.next().unwrap_or_default();
    Trees { turns: std::array::from_fn(|_| next()), stages: std::array::from_fn(|_| next()) }
}

/// Grows the trees of one head of `n_classes`; the trees that are kept are those of the round with the
/// lowest loss on `validation`. Without training rows every class is as likely as another.
pub(crate) fn grow(
    train: &[Sample<'_>],
    validation: &[Sample<'_>],
    n_classes: usize,
    seed: u64,
) -> Boosted {
    let start = start(train, n_classes);
    let mut boosted = Boosted { start: start.clone(), trees: Vec::new() };
    if train.is_empty() || validation.is_empty() {
        return boosted;
    }
    let binned = Binned::new(train);
    let mut noise = Noise::new(seed);
    let mut logits: Vec<f32> = start.repeat(train.len());
    let mut judged: Vec<f32> = start.repeat(validation.len());
    let (mut best, mut n_best) = (loss(validation, &judged, n_classes), 0);
    let (least, most) = LEAF_BOUNDS;
    let n_least = ((LEAF_SHARE * train.len() as f64) as usize).clamp(least, most) as f64;
    let mut gradient = vec![0.0; train.len()];
    let mut curvature = vec![0.0; train.len()];
    for round in 1..=N_ROUNDS_MAX {
        let seen: Vec<u32> =
            (0..train.len() as u32).filter(|_| noise.uniform() < ROWS_SEEN).collect();
        let probabilities: Vec<f32> = logits.chunks_exact(n_classes).flat_map(softmax_of).collect();
        let mut trees = Vec::with_capacity(n_classes);
        for class in 0..n_classes {
            let answers = probabilities.iter().skip(class).step_by(n_classes);
            let slopes = gradient.iter_mut().zip(&mut curvature);
            for ((sample, p), (gradient, curvature)) in train.iter().zip(answers).zip(slopes) {
                *gradient = sample.weight * (p - sample.truth[class]);
                *curvature = sample.weight * (2.0 * p * (1.0 - p)).max(1e-6);
            }
            let mut inputs: Vec<usize> =
                (0..N_TREE_INPUTS).filter(|_| noise.uniform() < INPUTS_SEEN).collect();
            inputs.retain(|input| !binned.edges[*input].is_empty());
            let slopes = Slopes { gradient: &gradient, curvature: &curvature };
            let grower = Grower { binned: &binned, slopes, inputs: &inputs, n_least };
            trees.push(grower.tree(seen.clone()));
        }
        add(&mut logits, train, &trees);
        add(&mut judged, validation, &trees);
        boosted.trees.extend(trees);
        let now = loss(validation, &judged, n_classes);
        if now < best {
            (best, n_best) = (now, round);
        } else if round >= n_best + PATIENCE {
            break;
        }
    }
    boosted.trees.truncate(n_best * n_classes);
    boosted
}

/// Logarithms of the classes' shares.
fn start(train: &[Sample<'_>], n_classes: usize) -> Vec<f32> {
    let mut shares = vec![1.0_f64; n_classes];
    for sample in train {
        for (share, p) in shares.iter_mut().zip(sample.truth) {
            *share += f64::from(sample.weight * p);
        }
    }
    let total: f64 = shares.iter().sum();
    shares.into_iter().map(|share| (share / total).ln() as f32).collect()
}

fn add(logits: &mut [f32], samples: &[Sample<'_>], trees: &[Tree]) {
    for (logits, sample) in logits.chunks_exact_mut(trees.len()).zip(samples) {
        for (logit, tree) in logits.iter_mut().zip(trees) {
            *logit += tree.answer(sample.inputs);
        }
    }
}

/// The sum of the weighted cross-entropies.
fn loss(samples: &[Sample<'_>], logits: &[f32], n_classes: usize) -> f64 {
    let rows = samples.iter().zip(logits.chunks_exact(n_classes));
    rows.map(|(sample, logits)| {
        let answers = softmax_of(logits).into_iter().zip(sample.truth);
        let loss: f32 = answers.map(|(p, truth)| -truth * p.max(1e-30).ln()).sum();
        f64::from(sample.weight * loss)
    })
    .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of noise whose class is told by two inputs together, right in 9 of 10.
    fn rows(n: usize, seed: u64) -> Vec<(Vec<f32>, usize)> {
        let mut noise = Noise::new(seed);
        let row = |_| {
            let inputs: Vec<f32> =
                (0..N_TREE_INPUTS).map(|_| 2.0 * noise.uniform() - 1.0).collect();
            let class = usize::from(inputs[3] > 0.2) + 2 * usize::from(inputs[7] > -0.3);
            let slips = noise.uniform() < 0.1;
            (inputs, if slips { (noise.uniform() * 4.0) as usize } else { class })
        };
        (0..n).map(row).collect()
    }

    fn samples(rows: &[(Vec<f32>, usize)]) -> Vec<Sample<'_>> {
        let sample = |(inputs, class): &'_ (Vec<f32>, usize)| {
            let mut truth = [0.0; 5];
            truth[*class] = 1.0;
            (truth, inputs.len())
        };
        rows.iter()
            .map(|row| Sample { inputs: &row.0, truth: sample(row).0, weight: 1.0 })
            .collect()
    }

    #[test]
    fn what_two_inputs_tell_together_is_found_and_repeats() {
        let (train, judged, unseen) = (rows(2000, 1), rows(500, 2), rows(500, 3));
        let grown = grow(&samples(&train), &samples(&judged), 4, 5);
        assert_eq!(grown, grow(&samples(&train), &samples(&judged), 4, 5));
        let right = unseen.iter().filter(|(inputs, class)| {
            let logits = &grown.logits(std::slice::from_ref(inputs))[0];
            (0..4).max_by(|a, b| logits[*a].total_cmp(&logits[*b])) == Some(*class)
        });
        // Nine in ten, and a quarter of the slips.
        assert!(right.count() > 430);
    }

    #[test]
    fn noise_grows_nothing_and_without_rows_classes_are_alike() {
        let mut noise = Noise::new(9);
        let mut random = |mut rows: Vec<(Vec<f32>, usize)>| {
            for row in &mut rows {
                row.1 = (noise.uniform() * 4.0) as usize;
            }
            rows
        };
        let (train, judged) = (random(rows(2000, 1)), random(rows(2000, 2)));
        let grown = grow(&samples(&train), &samples(&judged), 4, 5);
        assert!(grown.trees.len() < 40, "{}", grown.trees.len());
        assert_eq!(grow(&[], &[], 4, 5).start, vec![0.25_f32.ln(); 4]);
    }
}
