//! Training and validation rows: windows with targets, each target masked by the split for itself.
//!
//! A row is (series, origin). Its units at step h need the period origin + h, its turn at 26 weeks
//! needs origin + 26 weeks: each target is training, validation or nothing by its own last period,
//! so one window may serve both parts with different targets. Unseen products are in no row.

use std::collections::{BTreeMap, BTreeSet};

use lifecycle::{Digest, Part, Period, ProductId, Progress, Series, Split};
use model::N_TURN_CLASSES;
use panel::{CategoryUnits, Cutter, Fitted, History, PanelMeta, Window};
use rayon::prelude::*;
use tables::Label;

use crate::config::Config;

/// Series whose windows are cut at a time.
const CHUNK: usize = 256;

/// The data that rows are made of.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Of the panel.
    pub meta: &'a PanelMeta,
    /// All series, sorted.
    pub histories: &'a [History],
    /// Units by category.
    pub categories: &'a BTreeMap<String, CategoryUnits>,
    /// State fitted on the training part.
    pub fitted: &'a Fitted,
    /// Where the panel is cut.
    pub split: &'a Split,
    /// Products that are in no row.
    pub unseen: &'a BTreeSet<ProductId>,
    /// Stage labels from data up to the cut.
    pub labels: &'a BTreeMap<ProductId, Label>,
}

/// What came after one origin, as far as one part of the split may know it.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Units by step over the window's scale; NaN where masked. Shape `[horizon]`.
    pub units: Vec<f32>,
    /// Weight of the units: 1 on average over training rows.
    pub weight: f32,
    /// Probabilities of the classes at each horizon: certain, or a model's own.
    pub turns: [Option<[f32; N_TURN_CLASSES]>; 3],
    /// Stage probabilities and their weight: now, and at each horizon.
    pub stages: [Option<([f32; 5], f32)>; 4],
}

/// One window and what came after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What the model sees.
    pub window: Window,
    /// What it learns from.
    pub train: Option<Target>,
    /// What it is judged by.
    pub validation: Option<Target>,
    /// Units of all steps up to the cut, training's and validation's alike, of rows that judge
    /// units; else empty. Dependence over steps is fitted on them.
    pub known: Vec<f32>,
}

/// All rows, sorted by (series, origin).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rows {
    /// The rows.
    pub rows: Vec<Row>,
}

impl Target {
    pub(crate) fn is_empty(&self) -> bool {
        self.units.iter().all(|units| units.is_nan())
            && self.turns.iter().all(Option::is_none)
            && self.stages.iter().all(Option::is_none)
    }
}

impl Rows {
    /// Cuts the rows of all seen products; the same rows in the same order on any number of
    /// threads.
    pub fn cut(source: Source<'_>, config: &Config, progress: &dyn Progress) -> Self {
        let seen: Vec<&History> = source
            .histories
            .iter()
            .filter(|history| !source.unseen.contains(&history.series.product))
            .collect();
        let n_in = |part| seen.iter().map(|h| origins(source, h, part).len()).sum::<usize>();
        let train_stride = n_in(Part::Train).div_ceil(config.rows_max).max(1);
        let validation_stride = n_in(Part::Validation).div_ceil(config.validation_rows_max).max(1);
        let cutter = Cutter::new(source.meta, source.categories, source.fitted);
        let turning: Vec<Vec<Period>> =
            seen.par_iter().map(|history| turning(source, &cutter, history)).collect();
        let n_turning = turning.iter().map(Vec::len).sum::<usize>();
        let turning_stride = n_turning.div_ceil(config.validation_rows_max).max(1);
        let mut rows = Vec::new();
        for (done, (histories, turning)) in
            seen.chunks(CHUNK).zip(turning.chunks(CHUNK)).enumerate()
        {
            progress.report("cut windows", (done * CHUNK) as u64, seen.len() as u64);
            let cut: Vec<Vec<Row>> = histories
                .par_iter()
                .zip(turning)
                .map(|(history, turning)| {
                    let thin = |all: &[Period], stride| {
                        let phase = phase(&history.series, config.seed, stride);
                        all.iter()
                            .copied()
                            .skip(phase)
                            .step_by(stride)
                            .collect::<BTreeSet<Period>>()
                    };
                    let train = thin(&origins(source, history, Part::Train), train_stride);
                    let mut validation =
                        thin(&origins(source, history, Part::Validation), validation_stride);
                    validation.extend(thin(turning, turning_stride));
                    let held_out = is_held_out(history, config);
                    let rows = rows_of(source, &cutter, history, (&train, &validation, held_out));
                    let learnt =
                        |row: Row| Row { train: learnt(row.train, history, config), ..row };
                    let rows = rows.into_iter().map(learnt);
                    rows.filter(|row| row.train.is_some() || row.validation.is_some()).collect()
                })
                .collect();
            rows.extend(cut.into_iter().flatten());
        }
        let mut rows = Self { rows };
        rows.weigh(config.scale_power);
        rows
    }

    /// Weights of units: the scale to a power, 1 on average over training rows.
    fn weigh(&mut self, power: f64) {
        let weight = |row: &Row| f64::from(row.window.scale).powf(power);
        let weights: Vec<f64> =
            self.rows.iter().filter(|row| row.train.is_some()).map(weight).collect();
        let mean = (weights.iter().sum::<f64>() / weights.len().max(1) as f64).max(1e-12);
        for row in &mut self.rows {
            let weight = (weight(row) / mean) as f32;
            for target in [&mut row.train, &mut row.validation].into_iter().flatten() {
                target.weight = weight;
            }
        }
    }

    /// Positions of the rows that are learnt from.
    pub fn training(&self) -> Vec<usize> {
        (0..self.rows.len()).filter(|row| self.rows[*row].train.is_some()).collect()
    }

    /// Positions of the rows that are judged by.
    pub fn validation(&self) -> Vec<usize> {
        (0..self.rows.len()).filter(|row| self.rows[*row].validation.is_some()).collect()
    }

    /// Takes the targets of training rows without labels away, with their places.
    pub(crate) fn take_unlabelled(&mut self) -> Vec<(usize, Target)> {
        let rows = self.rows.iter_mut().enumerate();
        rows.filter_map(|(place, row)| {
            Some((place, row.train.take_if(|target| target.is_empty())?))
        })
        .collect()
    }

    /// Names the rows: a checkpoint made on others does not fit.
    pub fn digest(&self) -> Digest {
        let mut hasher = lifecycle::Hasher::default();
        let mut floats = |values: &[f32]| {
            for value in values {
                hasher.update(value.to_bits().to_le_bytes());
            }
        };
        for Row { window, train, validation, known } in &self.rows {
            floats(known);
            floats(&[window.origin.0 as f32, window.scale]);
            floats(&window.statics);
            for target in [train, validation].into_iter().flatten() {
                floats(&target.units);
            }
        }
        hasher.finish()
    }
}

/// The origins at which any target of a series is in this part, ascending. An origin needs 13 weeks
/// of the panel before it: earlier, every series looks newly launched.
fn origins(source: Source<'_>, history: &History, part: Part) -> Vec<Period> {
    let Source { meta, split, .. } = source;
    let warm = split.origin_after(split.frequency.periods_of_weeks(lifecycle::SHARE_WEEKS));
    let [_, _, farthest] = meta.outlooks();
    let farthest = farthest.max(meta.settings.horizon);
    let first = warm.max(history.start);
    let last = split.last_training_period();
    let in_part = |origin: &Period| (0..=farthest).any(|h| split.part(*origin, h) == Some(part));
    (first.0..=last.0).map(Period).filter(in_part).collect()
}

/// The validation origins of a series at which a turn is judged. Where sales are rare there are few:
/// thinned like all others, they would be too few to fit a temperature on.
fn turning(source: Source<'_>, cutter: &Cutter<'_>, history: &History) -> Vec<Period> {
    let outlooks = source.meta.outlooks();
    let is_in = |origin: Period, h: usize| source.split.part(origin, h) == Some(Part::Validation);
    let mut all = origins(source, history, Part::Validation);
    all.retain(|origin| outlooks.iter().any(|h| is_in(*origin, *h)));
    all.retain(|origin| {
        let turns = cutter.targets(history, *origin).turns;
        turns.iter().zip(outlooks).any(|(came, h)| came.is_some() && is_in(*origin, h))
    });
    all
}

/// Where thinning starts in a series: spread evenly over series, the same in every run.
fn phase(series: &Series, seed: u64, stride: usize) -> usize {
    let digest = Digest::of(format!("{seed}/{series}"));
    let [a, b, c, d, ..] = *digest.as_bytes();
    u32::from_le_bytes([a, b, c, d]) as usize % stride
}

/// Whether a product's stage labels judge instead of teaching: a label settles only weeks later, so
/// the last weeks before the cut, where the other targets are validated, have none.
pub(crate) fn is_held_out(history: &History, config: &Config) -> bool {
    let digest = Digest::of(format!("stage/{}/{}", config.seed, history.series.product));
    f64::from(digest.as_bytes()[0]) < 256.0 * config.stage_holdout
}

/// Whether a product's targets are learnt from.
pub(crate) fn is_labelled(product: &ProductId, config: &Config) -> bool {
    let digest = Digest::of(format!("labels/{}/{product}", config.seed));
    let [a, b, ..] = *digest.as_bytes();
    f64::from(u16::from_le_bytes([a, b])) < 65536.0 * config.labelled
        || config.labelled_also.contains(product)
}

/// What is learnt from a training target: all of it, of a product without labels nothing. Its window
/// still teaches the reconstruction of masked patches, or gets a model's own answers.
fn learnt(target: Option<Target>, history: &History, config: &Config) -> Option<Target> {
    if is_labelled(&history.series.product, config) {
        return target;
    }
    let is_kept = config.losses.reconstruction > 0.0 || config.pseudo_labels.is_some();
    let target = target.filter(|_| is_kept)?;
    let units = vec![f32::NAN; target.units.len()];
    Some(Target { units, turns: [None; 3], stages: [None; 4], ..target })
}

fn rows_of(
    source: Source<'_>,
    cutter: &Cutter<'_>,
    history: &History,
    (train, validation, held_out): (&BTreeSet<Period>, &BTreeSet<Period>, bool),
) -> Vec<Row> {
    // Enough of a held-out product's origins to judge stages by.
    let of_stages = train.iter().copied().step_by(4).filter(|_| held_out);
    let validation: BTreeSet<Period> = validation.iter().copied().chain(of_stages).collect();
    let origins: Vec<Period> = train.union(&validation).copied().collect();
    let windows = cutter.windows(history, &origins);
    let rows = windows.into_iter().map(|window| {
        let all = cutter.targets(history, window.origin);
        let target = |part, wanted: &BTreeSet<Period>| {
            let of_row = (&window, window.origin);
            let target = target_at(source, of_row, &all, (part, held_out));
            (wanted.contains(&window.origin) && !target.is_empty()).then_some(target)
        };
        let train = target(Part::Train, train);
        let validation = target(Part::Validation, &validation);
        let judges_units = |target: &Target| target.units.iter().any(|units| !units.is_nan());
        let known = if validation.as_ref().is_some_and(judges_units) {
            known_units(source, window.origin, &all)
        } else {
            Vec::new()
        };
        Row { window, train, validation, known }
    });
    rows.filter(|row| row.train.is_some() || row.validation.is_some()).collect()
}

/// Units of all steps after an origin up to the cut.
pub(crate) fn known_units(source: Source<'_>, origin: Period, all: &panel::Targets) -> Vec<f32> {
    let last = source.split.last_training_period();
    let is_known = |step: usize| origin.plus(step as i32 + 1) <= last;
    let steps = all.units.iter().enumerate();
    steps.map(|(step, units)| if is_known(step) { *units } else { f32::NAN }).collect()
}

/// The target of a window in one part; `origin` is the window's own, unless it is wrong on purpose.
pub(crate) fn target_at(
    source: Source<'_>,
    (window, origin): (&Window, Period),
    all: &panel::Targets,
    (part, held_out): (Part, bool),
) -> Target {
    let part_of = |h: usize| source.split.part(origin, h);
    let is_in = |h: usize| part_of(h) == Some(part);
    let teaches_or_judges = |h: usize| match (part, part_of(h)) {
        (Part::Train, Some(Part::Train)) => !held_out,
        (Part::Validation, Some(Part::Train)) => held_out,
        (_, of) => of == Some(part),
    };
    let units = all
        .units
        .iter()
        .enumerate()
        .map(|(step, units)| if is_in(step + 1) { units / window.scale } else { f32::NAN });
    let outlooks = source.meta.outlooks();
    let turns = std::array::from_fn(|index| {
        all.turns[index].filter(|_| is_in(outlooks[index])).map(turn_class)
    });
    let label = source.labels.get(&window.series.product);
    let stages = std::array::from_fn(|index| {
        let h = if index == 0 { 0 } else { outlooks[index - 1] };
        let (stages, weight) = label?.at(origin.plus(h as i32)).filter(|_| teaches_or_judges(h))?;
        let mut stages: [f32; 5] = stages.into();
        if index == 0 {
            // The stage now has four classes: a life that is over has none.
            let alive: f32 = stages[..4].iter().sum();
            if alive < 0.5 {
                return None;
            }
            stages = [stages[0], stages[1], stages[2], stages[3], 0.0].map(|p| p / alive);
        }
        Some((stages, weight))
    });
    Target { units: units.collect(), weight: 1.0, turns, stages }
}

/// Silent, halved but not silent, neither, doubled.
fn turn_class([halved, doubled, silent]: [bool; 3]) -> [f32; N_TURN_CLASSES] {
    match (silent, halved, doubled) {
        (true, _, _) => [1.0, 0.0, 0.0, 0.0],
        (_, true, _) => [0.0, 1.0, 0.0, 0.0],
        (_, _, false) => [0.0, 0.0, 1.0, 0.0],
        (_, _, true) => [0.0, 0.0, 0.0, 1.0],
    }
}
