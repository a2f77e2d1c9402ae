//! The GPU's path without a GPU: training on a Vulkan driver that is software against the CPU.
//!
//! `cargo xtask test-gpu` runs it. A missing driver fails it: nothing is skipped.

use model::{Device, DeviceName, Kind, Layout, Network, Size, initial_weights};
use tests::gpu::{difference, losses, network, rows};
use trainer::Config;

fn config(size: Size) -> Config {
    Config {
        size,
        steps_max: 10,
        batch: 32,
        micro_batch: 32,
        learning_rate: 1e-3,
        patience: 1000,
        ..Config::default()
    }
}

fn software() -> Device {
    Device::open(DeviceName::Software).expect("deploy/ci/install.sh installs the driver")
}

#[test]
fn ten_steps_lose_what_they_lose_on_the_cpu() {
    let rows = rows(320);
    let config = config(Size::Tiny);
    let of = |device: &Device| {
        losses(&network((config.members[0], config.size), device), &rows, &config).expect("trained")
    };
    let (cpu, gpu) = (of(&Device::cpu()), of(&software()));
    assert_eq!(cpu.len(), 10);
    let difference = difference(&cpu, &gpu);
    assert!(difference <= 1e-5, "losses differ by {difference:e}: {cpu:?} and {gpu:?}");
}

#[test]
fn answers_and_gradients_are_the_cpus() {
    let rows = rows(24);
    let windows: Vec<_> = rows.rows.iter().map(|row| &row.window).collect();
    let of = |network: &Network| {
        let layout: Layout = network.layout();
        let weights = initial_weights(&layout, 5);
        let outputs = network.with_weights(&weights).outputs(&windows);
        let (gradient, ()) = network.gradient(&weights, &windows, None, |raw| (raw.clone(), ()));
        (outputs, gradient)
    };
    let (outputs, gradient) = of(&network((Kind::Transformer, Size::Small), &Device::cpu()));
    let (gpu_outputs, gpu_gradient) = of(&network((Kind::Transformer, Size::Small), &software()));
    for (cpu, gpu) in [
        (&outputs.units, &gpu_outputs.units),
        (&outputs.turns, &gpu_outputs.turns),
        (&outputs.stages, &gpu_outputs.stages),
        (&gradient, &gpu_gradient),
    ] {
        assert_eq!(cpu.len(), gpu.len());
        let largest = cpu.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        for (cpu, gpu) in cpu.iter().zip(gpu) {
            assert!((cpu - gpu).abs() <= 1e-5 * largest, "{gpu} for {cpu}, of at most {largest}");
        }
    }
}
