//! The stage: features and a model in, tables of forecasts out.

use std::fs;
use std::path::{Path, PathBuf};

use artifacts::Folders;
use lifecycle::{Digest, Forecast, Hasher, Period, Progress};
use model::Kind;
use panel::{History, Window};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tables::FeaturesDir;

use crate::config::Config;
use crate::error::Error;
use crate::live::Predictor;
use crate::origins::origins;

/// Windows held at a time: each is some 10 kB.
const WINDOWS_MAX: usize = 8192;

/// Where the stage's inputs lie.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The artifact of `features`.
    pub features: &'a Path,
    /// The artifact of `train`.
    pub model: &'a Path,
}

impl<'a> Inputs<'a> {
    /// Names of the artifacts that a run needs.
    pub const NEEDED: &'static [&'static str] = &["features", "model"];

    /// The inputs among folders that hold all of [`Inputs::NEEDED`].
    pub fn named(folders: &'a Folders) -> Self {
        Self { features: &folders["features"], model: &folders["model"] }
    }
}

/// `forecasts.json`: whose forecasts these are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name of the model in tables of scores.
    pub model: String,
    /// Digest of the model's files.
    pub model_digest: Digest,
    /// Digest of the features' files.
    pub features_digest: Digest,
    /// Its networks.
    pub members: Vec<Kind>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the model.
    pub model: String,
    /// Rows over all parts.
    pub n_forecasts: usize,
    /// Origins.
    pub n_origins: usize,
    /// Series that had a history at the last origin.
    pub n_series: usize,
    /// Rows at cold start.
    pub n_cold_start: usize,
    /// Rows whose inputs lie beyond what training held.
    pub n_far_from_training: usize,
}

/// Writes forecasts from all configured origins, sorted by (origin, series), into `output`.
pub fn run(
    config: &Config,
    inputs: &Inputs<'_>,
    output: &Path,
    progress: &dyn Progress,
) -> Result<Summary, Error> {
    config.validate().map_err(Error::Config)?;
    let features = FeaturesDir::open(inputs.features).map_err(Error::Features)?;
    let predictor = Predictor::open(inputs.features, inputs.model)?;
    let description = predictor.model().description();
    let name = match config.name.as_str() {
        "" if description.has_heads() => "lifecast",
        "" => Kind::Dense.name(),
        name => name,
    };
    let [_, _, farthest] = predictor.meta().outlooks();
    let longest = if description.has_heads() {
        predictor.meta().settings.horizon
    } else {
        description.answer_horizon()
    };
    let farthest = farthest.max(longest);
    let origins = origins(features.split(), farthest, config);
    let mut summary = Summary {
        model: name.to_owned(),
        n_forecasts: 0,
        n_origins: origins.len(),
        n_series: 0,
        n_cold_start: 0,
        n_far_from_training: 0,
    };

    let parts = output.join("forecasts");
    fs::create_dir_all(&parts).map_err(|source| Error::File { path: parts.clone(), source })?;
    let n_series = predictor.histories().len();
    let group = (config.rows_in_memory / n_series.max(1)).max(1);
    let mut n_parts = 0;
    for (done, origins) in origins.chunks(group).enumerate() {
        let watch = Watch {
            progress,
            before: done * group * n_series,
            total: n_series * summary.n_origins,
        };
        for of_origin in forecasts(&predictor, origins, &watch)? {
            summary.n_series = of_origin.len();
            for rows in of_origin.chunks(config.part_rows) {
                let path = parts.join(format!("part-{n_parts:03}.parquet"));
                tables::write(&path, rows).map_err(Error::Write)?;
                n_parts += 1;
                summary.n_forecasts += rows.len();
                summary.n_cold_start += rows.iter().filter(|row| row.cold_start).count();
                summary.n_far_from_training +=
                    rows.iter().filter(|row| row.far_from_training).count();
            }
        }
    }
    let manifest = Manifest {
        model: name.to_owned(),
        model_digest: digest(inputs.model)?,
        features_digest: digest(inputs.features)?,
        members: description.kinds(),
    };
    let text = serde_json::to_string_pretty(&manifest).expect("plain structs become JSON");
    let path = output.join("forecasts.json");
    fs::write(&path, text + "\n").map_err(|source| Error::File { path, source })?;
    Ok(summary)
}

/// Who is told of how many rows.
struct Watch<'a> {
    progress: &'a dyn Progress,
    before: usize,
    total: usize,
}

/// The forecasts from each of some origins for all series that have a history there.
fn forecasts(
    predictor: &Predictor,
    origins: &[Period],
    watch: &Watch<'_>,
) -> Result<Vec<Vec<Forecast>>, Error> {
    let mut by_origin: Vec<Vec<Forecast>> = vec![Vec::new(); origins.len()];
    let chunk = (WINDOWS_MAX / origins.len().max(1)).max(1);
    for (done, histories) in predictor.histories().chunks(chunk).enumerate() {
        if watch.progress.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let rows = watch.before + done * chunk * origins.len();
        watch.progress.report("forecast", rows as u64, watch.total as u64);
        let cut = |history: &History| {
            let begun: Vec<Period> =
                origins.iter().copied().filter(|origin| history.start <= *origin).collect();
            predictor.windows(history, &begun)
        };
        let windows: Vec<Window> = histories.par_iter().flat_map_iter(cut).collect();
        for forecast in model::forecast(predictor.model(), &windows) {
            if let Ok(place) = origins.binary_search(&forecast.origin) {
                by_origin[place].push(forecast);
            }
        }
    }
    Ok(by_origin)
}

/// The digest of a directory's files: of the sorted lines `path digest`.
fn digest(directory: &Path) -> Result<Digest, Error> {
    let mut files = Vec::new();
    files_below(directory, Path::new(""), &mut files)?;
    files.sort();
    let mut hasher = Hasher::default();
    for relative in files {
        let path = directory.join(&relative);
        let bytes = fs::read(&path).map_err(|source| Error::File { path, source })?;
        hasher.update(format!("{} {}\n", relative.display(), Digest::of(bytes)));
    }
    Ok(hasher.finish())
}

fn files_below(root: &Path, relative: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let directory = root.join(relative);
    let wrong = |source| Error::File { path: directory.clone(), source };
    for entry in fs::read_dir(&directory).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        let path = relative.join(entry.file_name());
        if entry.file_type().map_err(wrong)?.is_dir() {
            files_below(root, &path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
