//! Scratch.
#![allow(clippy::all, clippy::pedantic, clippy::disallowed_methods, clippy::print_stdout)]
use lifecycle::*;
use model::*;
use panel::*;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let size = match args[1].as_str() {
        "tiny" => Size::Tiny,
        "small" => Size::Small,
        _ => Size::Base,
    };
    let micro: usize = args[2].parse().unwrap();
    let n: usize = args[3].parse().unwrap();
    let d = Dimensions {
        context: 104,
        horizon: 13,
        n_context_inputs: CONTEXT_INPUTS.len(),
        n_static_inputs: STATIC_INPUTS.len(),
        n_horizon_inputs: HORIZON_INPUTS.len(),
    };
    let mut noise = Noise::new(3, 0.0);
    let mut draw = |n: usize| (0..n).map(|_| 2.0 * noise.uniform() - 1.0).collect::<Vec<f32>>();
    let stage = StageProbabilities::from_weights([0.0, 0.0, 1.0, 0.0, 0.0]);
    let windows: Vec<Window> = (0..micro)
        .map(|i| Window {
            series: Series::of(format!("p{i}")),
            origin: Period(2000),
            scale: 1.0,
            context: draw(d.context * d.n_context_inputs),
            statics: draw(d.n_static_inputs),
            horizon: draw(d.horizon * d.n_horizon_inputs),
            filter: FilterOutlook { stage_now: stage, stages: [stage; 3], expected: vec![] },
            age: 1,
            n_observed: 1,
            cold_start: false,
            far_from_training: false,
        })
        .collect();
    let network = Network::transformer(Architecture::new(size, d));
    let layout = network.layout();
    println!("parameters {}", layout.n_values());
    let weights = initial_weights(&layout, 1);
    let refs: Vec<&Window> = windows.iter().collect();
    let workers = Workers::new(1);
    let t = std::time::Instant::now();
    let mut least = f64::INFINITY;
    for i in 0..n {
        let t1 = std::time::Instant::now();
        workers.map(&[0], |_, _| {
            let mut noise = Noise::new(i as u64, 0.1);
            network
                .gradient(&weights, &refs, Some(&mut noise), |o| {
                    let mut g = o.clone();
                    for u in &mut g.units {
                        *u *= 0.01;
                    }
                    (g, ())
                })
                .0[0]
        });
        least = least.min(t1.elapsed().as_secs_f64());
    }
    let s = t.elapsed().as_secs_f64();
    println!("least {:.2} ms", 1e3 * least);
    println!("train {:.1} samples/s {:.2} ms/step", (n * micro) as f64 / s, 1e3 * s / n as f64);
    let t = std::time::Instant::now();
    let ready = network.with_weights(&weights);
    for _ in 0..n {
        workers.map(&[0], |_, _| ready.outputs(&refs).units[0]);
    }
    println!("infer {:.1} samples/s", (n * micro) as f64 / t.elapsed().as_secs_f64());
    let dep = Dependence::independent(13);
    let q: Vec<f32> = (0..13).flat_map(|_| LEVELS.map(|l| l as f32)).collect();
    let t = std::time::Instant::now();
    for _ in 0..1000 {
        std::hint::black_box(dep.cumulative_quantiles(&q));
    }
    println!("cumulative {:.3} ms", t.elapsed().as_secs_f64());
}
