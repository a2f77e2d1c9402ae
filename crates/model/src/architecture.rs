//! Kinds, sizes and shapes of networks: what has to be known before weights can be.

use serde::{Deserialize, Serialize};

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Patches of the context, statics and horizon as tokens of a Transformer's encoder.
    #[default]
    Transformer,
    /// The same tokens and heads around a long short-term memory (Hochreiter & Schmidhuber 1997).
    Lstm,
    /// Two hidden layers on price and time: the source article's network, a baseline.
    Dense,
}

impl Kind {
    /// Whether the network answers quantiles, turns and stages; else means of units alone.
    pub fn has_heads(self) -> bool {
        self != Self::Dense
    }

    /// The name in configurations and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transformer => "transformer",
            Self::Lstm => "lstm",
            Self::Dense => "dense",
        }
    }
}

/// How large a network of patches is. Parameters, and millions of floating-point operations of one
/// forward pass ([`Architecture::n_flops`]), of weekly windows: 104 periods, 13 steps ahead.
///
/// | size | LSTM | | Transformer | |
/// |---|---|---|---|---|
/// | `tiny` | 22,890 | .24 | 22,954 | .33 |
/// | `small` | 62,074 | .72 | 62,202 | .94 |
/// | `base` | 266,618 | 8.7 | 267,578 | 11.5 |
/// | `large` | 756,250 | 28.4 | 758,298 | 36.8 |
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Size {
    /// For tests, and sets of a few dozen series.
    Tiny,
    /// One layer: the default. On Online Retail II (3,527 products, 49,000 rows)
    /// validation losses are those of twice the width and depth, at a third of the time.
    #[default]
    Small,
    /// For tens of thousands of series.
    Base,
    /// For pretraining on hundreds of thousands of lives.
    Large,
}

/// One network of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Which network.
    pub kind: Kind,
    /// How large it is, if it is one of patches.
    pub size: Size,
}

/// Shapes of the largest window that a network takes; shorter ones are padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dimensions {
    /// Most periods of context.
    pub context: usize,
    /// Most periods forecast.
    pub horizon: usize,
    /// Channels of a period of context.
    pub n_context_inputs: usize,
    /// Static inputs.
    pub n_static_inputs: usize,
    /// Inputs of a period of the horizon.
    pub n_horizon_inputs: usize,
}

/// Shapes of a network of patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Architecture {
    /// What mixes the tokens: attention or a recurrence.
    pub kind: Kind,
    /// Shapes of the windows.
    pub dimensions: Dimensions,
    /// Periods in one token.
    pub patch: usize,
    /// Width of a token.
    pub d_model: usize,
    /// Encoder layers, of attention or of recurrence.
    pub n_layers: usize,
    /// Attention heads; divides `d_model`.
    pub n_heads: usize,
    /// Hidden width of a layer's feed-forward part.
    pub d_hidden: usize,
    /// Width of the direct path from the statics to the heads.
    pub d_wide: usize,
    /// Width of the bottleneck adapters in each layer of attention; 0 for none.
    pub d_adapter: usize,
}

/// Tokens made from the statics.
pub(crate) const N_STATIC_TOKENS: usize = 2;

impl Architecture {
    /// The shapes of a named size.
    pub fn new(kind: Kind, size: Size, dimensions: Dimensions) -> Self {
        let (d_model, n_layers, n_heads, d_wide) = match size {
            Size::Tiny => (16, 1, 2, 48),
            Size::Small => (32, 1, 2, 96),
            Size::Base => (80, 3, 4, 128),
            Size::Large => (128, 4, 8, 192),
        };
        let d_hidden = 2 * d_model;
        let (patch, d_adapter) = (4, 0);
        Self { kind, dimensions, patch, d_model, n_layers, n_heads, d_hidden, d_wide, d_adapter }
    }

    /// Tokens of the context.
    pub fn n_patches(&self) -> usize {
        self.dimensions.context.div_ceil(self.patch)
    }

    /// Tokens of the horizon.
    pub fn n_horizon_tokens(&self) -> usize {
        self.dimensions.horizon.div_ceil(self.patch)
    }

    /// All tokens.
    pub fn n_tokens(&self) -> usize {
        self.n_patches() + N_STATIC_TOKENS + self.n_horizon_tokens()
    }

    /// Floating-point operations of one window's forward pass, a multiplication and an addition
    /// counted as two; training takes about three times as many.
    pub fn n_flops(&self) -> u64 {
        let Self { dimensions, patch, d_model, d_hidden, d_wide, d_adapter, .. } = *self;
        let Dimensions { horizon, n_context_inputs, n_static_inputs, n_horizon_inputs, .. } =
            dimensions;
        let (n_tokens, n_patches) = (self.n_tokens(), self.n_patches());
        let per_layer = if self.kind == Kind::Lstm {
            n_patches * 8 * d_model * d_model
        } else {
            let dense = 4 * d_model * d_model + 2 * d_model * (d_hidden + d_adapter);
            n_tokens * dense + 2 * n_tokens * n_tokens * d_model
        };
        let n_groups = self.n_horizon_tokens();
        let tokens = patch * d_model * (n_patches * n_context_inputs + n_groups * n_horizon_inputs);
        let wide = d_wide * (n_static_inputs + 2 * d_wide + (N_STATIC_TOKENS + 1) * d_model);
        let steps = horizon
            * (n_horizon_inputs * d_model + (d_model + n_horizon_inputs) * crate::N_UNIT_OUTPUTS);
        let heads = d_model * d_wide
            + (d_wide + n_static_inputs) * (crate::N_TURN_LOGITS + crate::N_STAGE_LOGITS);
        2 * (tokens + wide + self.n_layers * per_layer + steps + heads) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use expect_test::expect;
    use panel::{CONTEXT_INPUTS, HORIZON_INPUTS, STATIC_INPUTS};

    use super::*;
    use crate::network::Network;

    #[test]
    fn sizes_have_their_parameters_and_operations() {
        let dimensions = Dimensions {
            context: 104,
            horizon: 13,
            n_context_inputs: CONTEXT_INPUTS.len(),
            n_static_inputs: STATIC_INPUTS.len(),
            n_horizon_inputs: HORIZON_INPUTS.len(),
        };
        let mut table = String::new();
        for size in [Size::Tiny, Size::Small, Size::Base, Size::Large] {
            for kind in [Kind::Lstm, Kind::Transformer] {
                let architecture = Architecture::new(kind, size, dimensions);
                let n_parameters = Network::patches(architecture).layout().n_values();
                let (name, n_flops) = (kind.name(), architecture.n_flops());
                let _ = writeln!(table, "{size:?} {name} {n_parameters} {n_flops}");
            }
        }
        expect![[r"
            Tiny lstm 22890 241042
            Tiny transformer 22954 331154
            Small lstm 62074 715538
            Small transformer 62202 944914
            Base lstm 266618 8661330
            Base transformer 267578 11487570
            Large lstm 756250 28440338
            Large transformer 758298 36828946
        "]]
        .assert_eq(&table);
    }
}
