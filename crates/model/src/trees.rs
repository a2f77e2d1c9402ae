//! Boosted trees beside the network: a second opinion on turns and stages.
//!
//! On rows of derived numbers trees and networks are about equally good and err differently, so the
//! mean of their logits loses less than either (on Online Retail II and both simulator worlds 1 to
//! 1.5 % less log loss on validation rows than the better one). Trees see the statics and the recent
//! units of a window; `trainer` grows them, by the method of Friedman (2001) on histograms.

use std::collections::BTreeMap;

use panel::{CONTEXT_INPUTS, STATIC_INPUTS, Window};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::heads::{ClassLogits, N_STAGE_LOGITS, N_TURN_LOGITS};

/// Recent periods whose units trees see.
const N_RECENT: usize = 26;

/// Numbers that trees see of a window.
pub const N_TREE_INPUTS: usize = STATIC_INPUTS.len() + N_RECENT;

/// What trees see of a window: its statics, and the scaled units of the latest periods, latest first.
pub fn tree_inputs(window: &Window) -> Vec<f32> {
    let mut inputs = window.statics.clone();
    let units = window.context.rchunks_exact(CONTEXT_INPUTS.len()).map(|period| period[0]);
    inputs.extend(units.take(N_RECENT));
    inputs.resize(N_TREE_INPUTS, 0.0);
    inputs
}

/// A node of a tree: go left where the input is at most the threshold. Children below 0 are leaves:
/// `-1 - n` is leaf `n`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    /// Which input.
    pub input: u16,
    /// Where it splits.
    pub threshold: f32,
    /// Next where the input is at most the threshold, and where it is above.
    pub children: [i16; 2],
}

/// A tree; without nodes its first leaf is the answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tree {
    /// The root first.
    pub nodes: Vec<Node>,
    /// What is answered.
    pub leaves: Vec<f32>,
}

impl Tree {
    /// The answer for some inputs.
    pub fn answer(&self, inputs: &[f32]) -> f32 {
        let mut place = if self.nodes.is_empty() { -1 } else { 0 };
        while let Ok(node) = usize::try_from(place) {
            let Node { input, threshold, children } = self.nodes[node];
            place = children[usize::from(inputs[usize::from(input)] > threshold)];
        }
        self.leaves[(-1 - place) as usize]
    }
}

/// The trees of one head: its starting logits, and in turn one tree a class.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Boosted {
    /// Logits before any tree; as many as classes.
    pub start: Vec<f32>,
    /// Tree `n` adds to the logit of class `n % classes`.
    pub trees: Vec<Tree>,
}

impl Boosted {
    /// Logits of the classes for each of some inputs. Every tree answers all of them before the next
    /// one is read: a tree fits into the fastest cache, all trees do not.
    pub fn logits(&self, inputs: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let mut logits = vec![self.start.clone(); inputs.len()];
        let n_classes = self.start.len().max(1);
        for (number, tree) in self.trees.iter().enumerate() {
            for (logits, inputs) in logits.iter_mut().zip(inputs) {
                logits[number % n_classes] += tree.answer(inputs);
            }
        }
        logits
    }
}

/// Trees of all heads: turns at each horizon, stage now and at each horizon.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trees {
    /// Four classes each.
    pub turns: [Boosted; 3],
    /// Four classes now, five at the horizons.
    pub stages: [Boosted; 4],
}

impl Trees {
    /// Logits for each window: of turns, shape `[N_TURN_LOGITS]`, and of stages, shape
    /// `[N_STAGE_LOGITS]`.
    pub fn logits(&self, windows: &[&Window]) -> Vec<ClassLogits> {
        let inputs: Vec<Vec<f32>> = windows.iter().map(|window| tree_inputs(window)).collect();
        let mut all = vec![ClassLogits::default(); windows.len()];
        for head in &self.turns {
            for (row, logits) in all.iter_mut().zip(head.logits(&inputs)) {
                row.turns.extend(logits);
            }
        }
        for head in &self.stages {
            for (row, logits) in all.iter_mut().zip(head.logits(&inputs)) {
                row.stages.extend(logits);
            }
        }
        all
    }

    fn heads(&self) -> impl Iterator<Item = (String, &Boosted)> {
        let turns = self.turns.iter().enumerate().map(|(n, head)| (format!("turns.{n}"), head));
        turns.chain(self.stages.iter().enumerate().map(|(n, head)| (format!("stages.{n}"), head)))
    }

    /// As safetensors without metadata.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut tensors: BTreeMap<String, (Dtype, Vec<u8>)> = BTreeMap::new();
        for (name, head) in self.heads() {
            let nodes = || head.trees.iter().flat_map(|tree| &tree.nodes);
            let mut put = |part: &str, dtype, bytes: Vec<u8>| {
                tensors.insert(format!("{name}.{part}"), (dtype, bytes));
            };
            let start = head.start.iter().flat_map(|logit| logit.to_le_bytes()).collect();
            put("start", Dtype::F32, start);
            let sizes = head.trees.iter().flat_map(|tree| (tree.nodes.len() as u16).to_le_bytes());
            put("sizes", Dtype::U16, sizes.collect());
            put("input", Dtype::U16, nodes().flat_map(|node| node.input.to_le_bytes()).collect());
            let thresholds = nodes().flat_map(|node| node.threshold.to_le_bytes()).collect();
            put("threshold", Dtype::F32, thresholds);
            let children = nodes().flat_map(|node| node.children).flat_map(i16::to_le_bytes);
            put("children", Dtype::I16, children.collect());
            let leaves = head.trees.iter().flat_map(|tree| &tree.leaves);
            put("leaves", Dtype::F32, leaves.flat_map(|leaf| leaf.to_le_bytes()).collect());
        }
        let views = tensors.iter().map(|(name, (dtype, bytes))| {
            let size = if *dtype == Dtype::F32 { 4 } else { 2 };
            let view = TensorView::new(*dtype, vec![bytes.len() / size], bytes);
            (name.as_str(), view.expect("as many bytes as values"))
        });
        safetensors::serialize(views, None).expect("names are unique and shapes fit")
    }

    /// From safetensors; every tree must be whole and see only inputs that there are.
    pub fn from_bytes(stored: &[u8]) -> Result<Self, String> {
        let tensors = SafeTensors::deserialize(stored).map_err(|error| error.to_string())?;
        let read = |name: &str, n_classes: usize| head(&tensors, name, n_classes);
        let mut trees = Self::default();
        for (n, head) in trees.turns.iter_mut().enumerate() {
            *head = read(&format!("turns.{n}"), N_TURN_LOGITS / 3)?;
        }
        for (n, head) in trees.stages.iter_mut().enumerate() {
            *head =
                read(&format!("stages.{n}"), if n == 0 { 4 } else { (N_STAGE_LOGITS - 4) / 3 })?;
        }
        Ok(trees)
    }
}

fn head(tensors: &SafeTensors<'_>, name: &str, n_classes: usize) -> Result<Boosted, String> {
    let bytes = |part: &str| {
        let found = tensors.tensor(&format!("{name}.{part}"));
        found.map(|view| view.data().to_vec()).map_err(|_| format!("`{name}.{part}` is missing"))
    };
    let halves = |part: &str| -> Result<Vec<u16>, String> {
        let bytes = bytes(part)?;
        Ok(bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect())
    };
    let floats = |part: &str| -> Result<Vec<f32>, String> {
        let bytes = bytes(part)?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect())
    };
    let (start, sizes, inputs) = (floats("start")?, halves("sizes")?, halves("input")?);
    let (thresholds, leaves) = (floats("threshold")?, floats("leaves")?);
    let children: Vec<i16> = halves("children")?.into_iter().map(u16::cast_signed).collect();
    let n_nodes: usize = sizes.iter().map(|size| usize::from(*size)).sum();
    let are_whole = start.len() == n_classes
        && sizes.len().is_multiple_of(n_classes)
        && [inputs.len(), thresholds.len(), children.len() / 2] == [n_nodes; 3]
        && leaves.len() == n_nodes + sizes.len()
        && start.iter().chain(&leaves).chain(&thresholds).all(|value| value.is_finite());
    if !are_whole {
        return Err(format!("trees of `{name}` are not whole"));
    }
    let (mut node, mut leaf) = (0, 0);
    let mut trees = Vec::with_capacity(sizes.len());
    for size in sizes.into_iter().map(usize::from) {
        let nodes: Vec<Node> = (node..node + size)
            .map(|at| Node {
                input: inputs[at],
                threshold: thresholds[at],
                children: [children[2 * at], children[2 * at + 1]],
            })
            .collect();
        // A child comes after its parent, so that no walk goes round.
        let fits = |(at, child): (usize, i16)| match usize::try_from(child) {
            Ok(child) => child > at && child < size,
            Err(_) => (-1 - child) as usize <= size,
        };
        let fit = nodes.iter().enumerate().all(|(at, node)| {
            usize::from(node.input) < N_TREE_INPUTS
                && node.children.iter().all(|child| fits((at, *child)))
        });
        if !fit {
            return Err(format!("a tree of `{name}` points nowhere"));
        }
        trees.push(Tree { nodes, leaves: leaves[leaf..=leaf + size].to_vec() });
        (node, leaf) = (node + size, leaf + size + 1);
    }
    Ok(Boosted { start, trees })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trees() -> Trees {
        let split = |input, low, high| Tree {
            nodes: vec![Node { input, threshold: 0.5, children: [-1, -2] }],
            leaves: vec![low, high],
        };
        let head = |n_classes: usize| Boosted {
            start: vec![0.25; n_classes],
            trees: (0..n_classes).map(|class| split(class as u16, -1.0, class as f32)).collect(),
        };
        Trees {
            turns: std::array::from_fn(|_| head(4)),
            stages: std::array::from_fn(|n| head(if n == 0 { 4 } else { 5 })),
        }
    }

    #[test]
    fn a_tree_adds_to_the_logit_of_its_class() {
        let mut inputs = vec![0.0; N_TREE_INPUTS];
        inputs[2] = 0.6;
        assert_eq!(
            trees().turns[0].logits(std::slice::from_ref(&inputs)),
            [[-0.75, -0.75, 2.25, -0.75]]
        );
        let stump = Tree { nodes: Vec::new(), leaves: vec![3.0] };
        assert_eq!(stump.answer(&inputs), 3.0);
    }

    #[test]
    fn trees_are_read_back_and_broken_ones_refused() {
        let bytes = trees().to_bytes();
        assert_eq!(Trees::from_bytes(&bytes), Ok(trees()));
        assert!(Trees::from_bytes(&bytes[..bytes.len() - 3]).is_err());
        let mut broken = trees();
        broken.stages[1].trees[0].nodes[0].children[0] = 0;
        let error = Trees::from_bytes(&broken.to_bytes()).expect_err("goes round");
        assert!(error.contains("stages.1"), "{error}");
        broken = trees();
        broken.turns[2].trees[1].nodes[0].input = 4000;
        assert!(Trees::from_bytes(&broken.to_bytes()).is_err());
    }
}
