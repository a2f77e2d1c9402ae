//! What targets dealt out at random can teach: how often each turn and stage comes, and nothing of rows.
//!
//! The base rate counts training rows by age band; a training also sees the later rows that it is
//! validated on, so where rates drift it may know them better. A table that says of every row what the
//! random labels' model says on average has all of that, and tells no row from another.

use std::path::Path;

use lifecycle::{Forecast, Outlook, StageProbabilities};

/// Writes the forecasts of a folder with turns and stages replaced by their means over all rows.
pub(super) fn write(forecasts: &Path, output: &Path) -> anyhow::Result<()> {
    let parts = tables::parts(&forecasts.join("forecasts"))?;
    let mut means = Means::default();
    for part in &parts {
        for row in &tables::read::<Forecast>(part)? {
            means.add(row);
        }
    }
    let folder = output.join("forecasts");
    std::fs::create_dir_all(&folder)?;
    for part in &parts {
        let mut rows = tables::read::<Forecast>(part)?;
        for row in &mut rows {
            means.put(row);
        }
        tables::write(&folder.join(part.file_name().unwrap_or_default()), &rows)?;
    }
    Ok(())
}

/// Sums over rows: stages now; turns and stages at each horizon.
#[derive(Debug, Clone, Copy, Default)]
struct Means {
    now: Sum<5>,
    turns: [Sum<3>; 3],
    stages: [Sum<5>; 3],
}

#[derive(Debug, Clone, Copy)]
struct Sum<const N: usize> {
    sums: [f64; N],
    n: f64,
}

impl<const N: usize> Default for Sum<N> {
    fn default() -> Self {
        Self { sums: [0.0; N], n: 0.0 }
    }
}

impl<const N: usize> Sum<N> {
    fn add(&mut self, values: [f32; N]) {
        self.sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += f64::from(value));
        self.n += 1.0;
    }

    fn mean(&self) -> [f32; N] {
        self.sums.map(|sum| (sum / self.n) as f32)
    }

    fn stage(&self) -> StageProbabilities
    where
        [f32; N]: Into<[f32; 5]>,
    {
        let mean: [f32; 5] = self.mean().into();
        StageProbabilities::from_weights(mean.map(f64::from))
    }
}

impl Means {
    fn add(&mut self, row: &Forecast) {
        row.stage_now.into_iter().for_each(|stage| self.now.add(stage.into()));
        for ((outlook, turns), stages) in
            row.outlooks.iter().zip(&mut self.turns).zip(&mut self.stages)
        {
            outlook.turns.into_iter().for_each(|said| turns.add(said));
            outlook.stage.into_iter().for_each(|said| stages.add(said.into()));
        }
    }

    /// Replaces what is said, and nothing that is not.
    fn put(&self, row: &mut Forecast) {
        row.stage_now = row.stage_now.map(|_| self.now.stage());
        for (at, outlook) in row.outlooks.iter_mut().enumerate() {
            *outlook = Outlook {
                turns: outlook.turns.map(|_| self.turns[at].mean()),
                stage: outlook.stage.map(|_| self.stages[at].stage()),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::{Period, Series};

    use super::*;

    fn forecast(halved: f32, is_told: bool) -> Forecast {
        let turns = is_told.then_some([halved, 0.1, 0.05]);
        let stage = StageProbabilities::from_weights([f64::from(halved), 1.0, 0.0, 0.0, 0.0]);
        Forecast {
            series: Series::of("a"),
            origin: Period(1),
            units: None,
            stage_now: Some(stage),
            outlooks: [Outlook { turns, stage: None }; 3],
            cold_start: false,
            far_from_training: false,
        }
    }

    #[test]
    fn all_rows_get_the_mean_of_those_that_say_something() {
        let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        let rows = [forecast(0.2, true), forecast(0.6, true), forecast(0.9, false)];
        let part = folders[0].path().join("forecasts/part-000.parquet");
        std::fs::create_dir_all(part.parent().expect("a folder")).expect("made");
        tables::write(&part, &rows).expect("written");
        write(folders[0].path(), folders[1].path()).expect("written");
        let read = folders[1].path().join("forecasts/part-000.parquet");
        let read: Vec<Forecast> = tables::read(&read).expect("read");
        let turns: Vec<Option<[f32; 3]>> = read.iter().map(|row| row.outlooks[1].turns).collect();
        let [Some([halved, doubled, silent]), Some(other), None] = turns[..] else {
            panic!("{turns:?}")
        };
        assert!((halved - 0.4).abs() < 1e-6 && other == [halved, doubled, silent]);
        assert_eq!(read[0].stage_now, read[2].stage_now);
        assert_eq!(read[0].outlooks[0].stage, None);
    }
}
