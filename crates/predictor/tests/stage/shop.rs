//! A small features artifact: two dozen products over 100 weeks, each with its own level, life and
//! luck.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use lifecycle::{Frequency, Period, ProductId, Series, Split, unseen_products};
use panel::{Channel, Fitted, History, Panel, Settings, Statics};
use tables::Label;
use tables::features::{
    FITTED_FILE, LABELS_TEST_FILE, LABELS_TRAIN_FILE, PANEL_FILE, SPLIT_FILE, SplitFile, shard_file,
};

/// First week.
pub(crate) const START: Period = Period(2000);
/// Weeks.
pub(crate) const N_PERIODS: usize = 100;
/// Horizon and context, smaller than usual.
pub(crate) const SETTINGS: Settings = Settings { context: 16, horizon: 4 };

/// Units of one product in one week: a rise, a plateau, a decline, and noise that repeats.
fn units(product: usize, week: usize) -> f32 {
    let level = 2.0 + (product * 7 % 23) as f32;
    let age = week as f32 - (product * 5 % 40) as f32;
    let life = (age / 20.0).clamp(0.0, 1.0) * (1.5 - age / 80.0).clamp(0.0, 1.0);
    let luck = ((product * 31 + week * 17 + product * week) % 13) as f32 / 6.0;
    (level * life * luck).round()
}

/// The panel; weeks after the `as_of`-th are scrambled by `noise`.
pub(crate) fn panel(as_of: usize, noise: usize) -> Panel {
    let histories = (0..24).map(|product| {
        let begin = product * 5 % 40;
        let week = |week: usize| if week < as_of { week } else { week * 7 + noise };
        let mut channels: [Vec<f32>; 8] = Default::default();
        channels[Channel::Units as usize] =
            (begin..N_PERIODS).map(|at| units(product, week(at))).collect();
        channels[Channel::Price as usize] =
            (begin..N_PERIODS).map(|at| 3.0 + (week(at) / 9 % 3) as f32 * 0.2).collect();
        History {
            series: Series::of(format!("p{product:02}")),
            statics: Statics::default(),
            start: START.plus(begin as i32),
            channels,
            corrections: Vec::new(),
            given_stage: Vec::new(),
        }
    });
    Panel {
        frequency: Frequency::Week,
        start: START,
        n_periods: N_PERIODS,
        units_per_one: 1.0,
        share_depth: 0,
        all_lives_ended: false,
        histories: histories.collect(),
    }
}

/// The protocol's split.
pub(crate) fn split() -> Split {
    Split::new(Frequency::Week, START, N_PERIODS, SETTINGS.horizon).expect("long enough")
}

/// Writes the artifact of a panel, with state fitted by the split.
pub(crate) fn write(directory: &Path, panel: &Panel) {
    let products: Vec<ProductId> =
        panel.histories.iter().map(|history| history.series.product.clone()).collect();
    let unseen: BTreeSet<ProductId> = unseen_products(&products).into_iter().collect();
    let fitted = Fitted::fit(panel, &split(), &unseen, SETTINGS);
    fs::create_dir_all(directory.join("panel")).expect("a folder");
    tables::write(&directory.join(shard_file(0)), &panel.histories).expect("written");
    let labels: Vec<Label> = products.iter().map(label).collect();
    tables::write(&directory.join(LABELS_TRAIN_FILE), &labels).expect("written");
    tables::write(&directory.join(LABELS_TEST_FILE), &labels).expect("written");
    let split = SplitFile { split: split(), unseen: unseen.into_iter().collect() };
    let json = |name: &str, text: serde_json::Result<String>| {
        fs::write(directory.join(name), text.expect("JSON")).expect("written");
    };
    json(PANEL_FILE, serde_json::to_string(&panel.meta(SETTINGS)));
    json(FITTED_FILE, serde_json::to_string(&fitted));
    json(SPLIT_FILE, serde_json::to_string(&split));
}

/// Growth, then maturity, known for the first 50 weeks.
fn label(product: &ProductId) -> Label {
    let stages = (0..50).flat_map(|week| {
        if week < 25 { [0.1, 0.8, 0.1, 0.0, 0.0] } else { [0.0, 0.1, 0.8, 0.1, 0.0] }
    });
    Label {
        product: product.clone(),
        start: START,
        stages: stages.collect(),
        weights: vec![1.0; 50],
        is_left_censored: false,
    }
}
