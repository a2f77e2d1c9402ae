//! The network and all between it and the served answer.
//!
//! | file | what |
//! |---|---|
//! | `devices` | the CPU, GPUs, and which of them a process computes on |
//! | `architecture` | kinds, sizes and shapes of networks |
//! | `batch` | windows as tensors |
//! | `patches`, `dense`, `network` | the networks, what they have in common, their gradients |
//! | `attention`, `recurrence` | layers that mix the tokens of patches |
//! | `weights` | parameters as one flat vector, ordered by module path |
//! | `noise` | dropout masks from our own generator |
//! | `trees` | boosted trees, a second opinion on turns and stages |
//! | `heads` | raw outputs of a network as quantiles, means and probabilities |
//! | `calibration`, `dependence` | what is fitted on validation rows: temperatures, and how steps hang together |
//! | `forecast` | the one way from a window to an answer |
//! | `files` | a model as a directory |
//! | `workers` | work on several threads with the same bits as on one |

mod architecture;
mod attention;
mod batch;
mod calibration;
mod dense;
mod dependence;
mod devices;
mod files;
mod forecast;
mod heads;
mod host;
mod network;
mod noise;
mod patches;
mod recurrence;
mod rollout;
mod trees;
mod weights;
mod workers;

pub use architecture::{Architecture, Dimensions, Kind, Member, Size};
pub use batch::Batch;
pub use calibration::{
    Beside, Blend, Calibration, Classes, Judged, blend, loss_at, placed, temperature,
};
pub use dense::{DENSE_INPUTS, DenseScaling};
pub use dependence::{Dependence, N_PATHS, probability_of, quantile_of};
pub use devices::{
    Device, DeviceError, DeviceName, Precision, compute_on, devices, process_device,
};
pub use files::{
    Description, Error, FORMAT, MEMBERS_MAX, Training, weights_from_bytes, weights_to_bytes,
};
pub use forecast::{Model, expectations, forecast, paths};
pub use heads::{
    ClassLogits, N_STAGE_LOGITS, N_TURN_CLASSES, N_TURN_LOGITS, N_UNIT_OUTPUTS, Outputs, Row, mean,
    quantiles, softmax, softmax_of, softplus, stage_logits, turn_probabilities,
};
pub use network::{Masked, Network};
pub use noise::{Dropout, Noise};
pub use rollout::Rollout;
pub use trees::{Boosted, N_TREE_INPUTS, Node, Tree, Trees, tree_inputs};
pub use weights::{Layout, initial_weights};
pub use workers::Workers;
