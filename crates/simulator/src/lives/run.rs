//! From a configuration to the files of a panel and the mapping that reads them.

use std::fs;
use std::path::Path;

use lifecycle::Progress;
use rayon::prelude::*;

use super::calendar::Calendar;
use super::config::Config;
use super::shards::{FOLDERS, Shard, shards};
use super::summary::{Summary, Tally};
use crate::Error;

/// Shards between two looks at whether to stop; as many are worked on at a time.
const SHARDS_AT_ONCE: usize = 8;

/// Simulates lives and writes them into `output`, a new or empty folder: `panel/`, `products/` and,
/// last, `mapping.toml`.
pub fn run(config: &Config, output: &Path, progress: &dyn Progress) -> Result<Summary, Error> {
    config.validate()?;
    create(output)?;
    let calendar = Calendar::draw(config);
    let shards = shards(config, &calendar);
    let mut tally = Tally::default();
    for some in shards.chunks(SHARDS_AT_ONCE) {
        progress.report("lives", tally.n_lives(), u64::from(config.lives));
        if progress.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let write = |shard: &Shard| shard.write(config, &calendar, output);
        let tallies: Vec<Result<Tally, Error>> = some.par_iter().map(write).collect();
        for shard in tallies {
            tally.absorb(shard?);
        }
    }
    progress.report("lives", tally.n_lives(), u64::from(config.lives));
    let path = output.join("mapping.toml");
    fs::write(&path, mapping(config, &calendar)).map_err(|source| Error::File { path, source })?;
    Ok(tally.summary(&calendar, shards.len()))
}

/// The folder and those of its tables.
fn create(output: &Path) -> Result<(), Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    };
    fs::create_dir_all(output).map_err(failed(output))?;
    if fs::read_dir(output).map_err(failed(output))?.next().is_some() {
        return Err(Error::NotEmpty { path: output.to_owned() });
    }
    for folder in FOLDERS {
        let path = output.join(folder);
        fs::create_dir(&path).map_err(failed(&path))?;
    }
    Ok(())
}

/// How `ingest` reads what was written.
fn mapping(config: &Config, calendar: &Calendar) -> String {
    let (name, frequency) = (config.name(), config.frequency_name());
    let (first, last) = (calendar.day(0), calendar.last_day());
    let lives = config.lives;
    format!(
        "# {lives} simulated lives; each shop is a category of its own, whose units shares are of.
name = \"{name}\"
frequency = \"{frequency}\"
share_depth = 1
first_day = \"{first}\"
last_day = \"{last}\"

[limits]
units_at_most = 1e12

[[panel]]
path = \"panel/*.parquet\"

[panel.columns]
product = \"product\"
date = \"date\"
units = \"units\"
in_stock = \"in_stock\"
price = \"price\"
promotion = \"promotion\"
stage = \"stage\"

[[products]]
path = \"products/*.parquet\"

[products.columns]
product = \"product\"
category = [\"shop\", \"category\"]
launch = \"launch\"
end = \"end\"
"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use lifecycle::{ErrorKind, Frequency, Unwatched};

    use super::*;

    /// The bytes of all files, made with a number of threads.
    fn bytes_of(config: &Config, n_threads: usize) -> BTreeMap<PathBuf, Vec<u8>> {
        let directory = tempfile::tempdir().expect("a directory");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("a pool");
        pool.install(|| run(config, directory.path(), &Unwatched)).expect("lives");
        let files = FOLDERS.iter().flat_map(|folder| {
            let entries = fs::read_dir(directory.path().join(folder)).expect("a folder");
            entries.map(|entry| entry.expect("an entry").path())
        });
        let files = files.chain([directory.path().join("mapping.toml")]);
        let name = |path: &Path| path.strip_prefix(directory.path()).expect("below").to_owned();
        files.map(|path| (name(&path), fs::read(&path).expect("a file"))).collect()
    }

    #[test]
    fn the_same_configuration_gives_the_same_bytes_with_one_thread_or_two() {
        // So many days make two shards.
        for (lives, frequency) in
            [(1_000, Frequency::Day), (300, Frequency::Week), (300, Frequency::Month)]
        {
            let config = Config { lives, frequency, seed: 7 };
            let first = bytes_of(&config, 1);
            assert!(first.len() > 3 || frequency != Frequency::Day);
            assert!(first == bytes_of(&config, 2), "{frequency:?}");
            let other = bytes_of(&Config { seed: 8, ..config }, 2);
            assert!(first.iter().all(|(name, bytes)| other.get(name) != Some(bytes)));
        }
    }

    #[test]
    fn the_fewest_lives_are_written() {
        for frequency in [Frequency::Day, Frequency::Week, Frequency::Month] {
            let config = Config { lives: 1, frequency, seed: 1 };
            let directory = tempfile::tempdir().expect("a directory");
            let summary = run(&config, directory.path(), &Unwatched).expect("lives");
            assert_eq!((summary.n_lives, summary.n_shops, summary.n_shards), (1, 1, 1));
        }
    }

    #[test]
    fn the_prior_is_broad_and_not_far_from_shops() {
        let config = Config { lives: 8_000, frequency: Frequency::Week, seed: 1 };
        let directory = tempfile::tempdir().expect("a directory");
        let summary = run(&config, directory.path(), &Unwatched).expect("lives");
        let shown = || format!("{summary:#?}");
        assert!((0.35..0.65).contains(&summary.zeros), "{}", shown());
        assert!(summary.zeros_by_life.p05 < 0.1 && summary.zeros_by_life.p95 > 0.85, "{}", shown());
        let levels = summary.weekly_units;
        assert!(levels.p05 < 0.3 && levels.p50 < 10.0 && levels.p95 > 50.0, "{}", shown());
        for (stage, low, high) in [
            ("introduction", 0.01, 0.12),
            ("growth", 0.04, 0.25),
            ("maturity", 0.2, 0.6),
            ("decline", 0.1, 0.35),
            ("ended", 0.05, 0.4),
        ] {
            assert!((low..high).contains(&summary.stages[stage]), "{stage} {}", shown());
        }
        let quarter = &summary.turns[1];
        for (turn, low, high) in
            [("halved", 0.2, 0.45), ("doubled", 0.08, 0.28), ("silent", 0.03, 0.15)]
        {
            assert!((low..high).contains(&quarter.rates[turn]), "{turn} {}", shown());
        }
    }

    #[test]
    fn a_wrong_number_and_a_full_folder_are_the_callers_to_mend() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = Config { lives: 0, frequency: Frequency::Week, seed: 1 };
        let error = run(&config, directory.path(), &Unwatched).expect_err("no lives");
        assert_eq!(error.kind(), ErrorKind::Usage);
        fs::write(directory.path().join("mine.txt"), "mine").expect("written");
        let error =
            run(&Config { lives: 1, ..config }, directory.path(), &Unwatched).expect_err("full");
        assert!(matches!(error, Error::NotEmpty { .. }) && error.kind() == ErrorKind::Usage);
    }
}
