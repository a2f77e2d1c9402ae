//! Kinds, sizes and shapes of networks: what has to be known before weights can be.

use serde::{Deserialize, Serialize};

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Patches of the context, statics and horizon as tokens of a Transformer's encoder.
    #[default]
    Transformer,
    /// Two hidden layers on price and time: the source article's network, a baseline.
    Dense,
}

/// How large a Transformer is. The parameter counts are those of weekly windows: 104 periods of 24
/// channels, some 100 statics and 13 steps ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Size {
    /// About 22,000 parameters: tests, and sets of a few dozen series.
    Tiny,
    /// About 62,000, one layer: the default. On Online Retail II (3,527 products, 49,000 rows)
    /// validation losses are those of twice the width and depth, at a third of the time.
    #[default]
    Small,
    /// About 250,000: tens of thousands of series.
    Base,
    /// About 850,000: pretraining on hundreds of thousands of lives.
    Large,
}

/// Shapes of one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dimensions {
    /// Periods of context.
    pub context: usize,
    /// Periods forecast.
    pub horizon: usize,
    /// Channels of a period of context.
    pub n_context_inputs: usize,
    /// Static inputs.
    pub n_static_inputs: usize,
    /// Inputs of a period of the horizon.
    pub n_horizon_inputs: usize,
}

/// Shapes of a Transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Architecture {
    /// Shapes of the windows.
    pub dimensions: Dimensions,
    /// Periods in one token.
    pub patch: usize,
    /// Width of a token.
    pub d_model: usize,
    /// Encoder layers.
    pub n_layers: usize,
    /// Attention heads; divides `d_model`.
    pub n_heads: usize,
    /// Hidden width of a layer's feed-forward part.
    pub d_hidden: usize,
    /// Width of the direct path from the statics to the heads.
    pub d_wide: usize,
}

/// Tokens made from the statics.
pub(crate) const N_STATIC_TOKENS: usize = 2;

impl Architecture {
    /// The shapes of a named size.
    pub fn new(size: Size, dimensions: Dimensions) -> Self {
        let (d_model, n_layers, n_heads, d_wide) = match size {
            Size::Tiny => (16, 1, 2, 48),
            Size::Small => (32, 1, 2, 96),
            Size::Base => (80, 3, 4, 128),
            Size::Large => (128, 4, 8, 192),
        };
        let d_hidden = 2 * d_model;
        Self { dimensions, patch: 4, d_model, n_layers, n_heads, d_hidden, d_wide }
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
}
