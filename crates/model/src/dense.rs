//! The source article's network, as a baseline: two hidden layers of 64 and 32 on (price, time),
//! pooled over series and periods, mean squared error, all standardised. It answers means only.
//!
//! Time is the period forecast; price is the product's against its category's, as known at the
//! origin, moved by the planned change where one is known: the network must not see the price of a
//! period that has not come.

use burn::module::Module;
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use panel::Window;
use serde::{Deserialize, Serialize};

/// What the network sees of a period.
pub const DENSE_INPUTS: &[&str] = &["price", "time"];

/// Means and standard deviations of what goes in and comes out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenseScaling {
    /// Of the price input.
    pub price: [f32; 2],
    /// Of the period's number.
    pub time: [f32; 2],
    /// Of units.
    pub units: [f32; 2],
}

/// The network. Field names are the paths in the weights file.
#[derive(Module, Debug)]
pub(crate) struct Dense {
    first: Linear,
    second: Linear,
    out: Linear,
}

impl Dense {
    /// A network of zeros; weights come from [`crate::initial_weights`] or a file.
    pub(crate) fn new(device: &Device) -> Self {
        let linear = |n_in, n_out| {
            LinearConfig::new(n_in, n_out).with_initializer(Initializer::Zeros).init(device)
        };
        Self { first: linear(DENSE_INPUTS.len(), 64), second: linear(64, 32), out: linear(32, 1) }
    }

    /// Standardised units of each period. From `[n, 2]` to `[n, 1]`.
    pub(crate) fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        let hidden = relu(self.first.forward(inputs));
        self.out.forward(relu(self.second.forward(hidden)))
    }
}

impl DenseScaling {
    /// Standardised price and time of steps 1 to `horizon` after a window's origin. Shape
    /// `[horizon, 2]`. Prices beyond the window's own horizon are those of its last step.
    pub fn inputs(&self, window: &Window, horizon: usize) -> Vec<f32> {
        let n_inputs = panel::HORIZON_INPUTS.len();
        let planned = panel::HORIZON_INPUTS.iter().position(|name| *name == "price");
        let level = panel::STATIC_INPUTS.iter().position(|name| *name == "price_category");
        let level = level.map_or(0.0, |level| window.statics[level]);
        let last_step = (window.horizon.len() / n_inputs).saturating_sub(1);
        let change = |step: usize| {
            planned.map_or(0.0, |price| window.horizon[step.min(last_step) * n_inputs + price])
        };
        let standard = |value: f32, [mean, deviation]: [f32; 2]| (value - mean) / deviation;
        (0..horizon)
            .flat_map(|step| {
                let time = window.origin.plus(step as i32 + 1).0 as f32;
                [standard(level + change(step), self.price), standard(time, self.time)]
            })
            .collect()
    }

    /// Units from the network's answer: never negative.
    pub fn units(&self, standardised: f32) -> f32 {
        let [mean, deviation] = self.units;
        (mean + deviation * standardised).max(0.0)
    }
}
