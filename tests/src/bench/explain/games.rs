//! Games with known values: tables over all coalitions, measured or random.

use std::path::Path;

use anyhow::{Context, ensure};
use explainer::coalition::{Coalition, all_coalitions};
use explainer::exact::shapley_values;
use lifecycle::Attribution;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Outputs of all coalitions of one game.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    pub(super) n_players: usize,
    /// Shape `[2^n_players, n_outputs]`; a row's bits say who is present.
    pub(super) rows: Vec<Vec<f64>>,
}

impl Table {
    /// A game of one output.
    pub(super) fn of(n_players: usize, output: impl Fn(&Coalition) -> f64) -> Self {
        let row = |coalition: &Coalition| vec![output(coalition)];
        Self { n_players, rows: all_coalitions(n_players).iter().map(row).collect() }
    }

    /// Outputs of some coalitions. Shape `[n_coalitions, n_outputs]`.
    pub(super) fn outputs(&self, coalitions: &[Coalition]) -> Vec<Vec<f64>> {
        let row = |coalition: &Coalition| {
            let players = coalition.iter().enumerate();
            let index = players.fold(0, |index, (at, is_in)| index | usize::from(*is_in) << at);
            self.rows[index].clone()
        };
        coalitions.iter().map(row).collect()
    }

    /// Values by definition, one attribution an output.
    pub(super) fn exact(&self) -> Vec<Attribution> {
        shapley_values(self.n_players, &self.rows)
    }
}

/// The instances of a file of float32, shape `[instance, 2^n_players, n_outputs]`, as numpy writes
/// it (NEP 1, version 1.0).
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Table>> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    ensure!(bytes.get(..8) == Some(b"\x93NUMPY\x01\x00"), "{}: not numpy 1.0", path.display());
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8_lossy(bytes.get(10..10 + length).context("cut off")?);
    ensure!(header.contains("'<f4'") && header.contains("False"), "{header}: no rows of float32");
    let shape = header.split_once("'shape': (").and_then(|(_, rest)| rest.split_once(')'));
    let shape: Vec<usize> = shape
        .context("no shape")?
        .0
        .split(',')
        .filter(|size| !size.trim().is_empty())
        .map(|size| size.trim().parse())
        .collect::<Result<_, _>>()?;
    let [n_instances, n_rows, n_outputs] = shape[..] else { anyhow::bail!("{header}: not 3 axes") };
    ensure!(n_rows.is_power_of_two() && n_rows > 1, "{n_rows} rows are no game");
    let values: Vec<f64> = bytes[10 + length..]
        .chunks_exact(4)
        .map(|value| f64::from(f32::from_le_bytes([value[0], value[1], value[2], value[3]])))
        .collect();
    ensure!(values.len() == n_instances * n_rows * n_outputs, "{header}: another length");
    let table = |rows: &[f64]| Table {
        n_players: n_rows.ilog2() as usize,
        rows: rows.chunks_exact(n_outputs).map(<[f64]>::to_vec).collect(),
    };
    Ok(values.chunks_exact(n_rows * n_outputs).map(table).collect())
}

/// Writes games of one shape as [`read`] and numpy read them.
pub(super) fn write(path: &Path, tables: &[Table]) -> anyhow::Result<()> {
    let first = tables.first().context("no game")?;
    let (n_rows, n_outputs) = (first.rows.len(), first.rows[0].len());
    ensure!(tables.iter().all(|table| table.rows.len() == n_rows), "games of several shapes");
    let shape = format!("({}, {n_rows}, {n_outputs})", tables.len());
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    // Header and what stands before it fill a multiple of 64 bytes.
    let header = format!("{header:<width$}\n", width = 64 * (header.len() + 11).div_ceil(64) - 11);
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len())?.to_le_bytes());
    bytes.extend(header.as_bytes());
    let values = tables.iter().flat_map(|table| table.rows.iter().flatten());
    bytes.extend(values.flat_map(|value| (*value as f32).to_le_bytes()));
    std::fs::write(path, bytes).with_context(|| path.display().to_string())
}

/// Kinds of random games.
pub(super) const KINDS: [&str; 5] = ["network", "rules", "power", "probability", "greatest"];

/// A random game: a network of 24 hidden units, 30 rules of one to four players, a power of a sum,
/// a logistic probability, or the greatest of three sums. Players matter unequally.
pub(super) fn random(kind: usize, n_players: usize, seed: u64) -> Table {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Nearly normal: Irwin & Hall.
    let mut normal = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
    let mut normals = |n: usize| (0..n).map(|_| normal()).collect::<Vec<f64>>();
    let sum = |weights: &[f64], present: &Coalition| {
        let present = weights.iter().zip(present).filter(|(_, is_in)| **is_in);
        present.map(|(weight, _)| weight).sum::<f64>()
    };
    match kind {
        0 => {
            let scales = normals(n_players);
            let units: Vec<(Vec<f64>, Vec<f64>)> = (0..24)
                .map(|_| {
                    let weights = normals(n_players).into_iter().zip(&scales);
                    let root = (n_players as f64).sqrt();
                    (weights.map(|(w, scale)| w * scale.exp() / root).collect(), normals(2))
                })
                .collect();
            Table::of(n_players, |present| {
                let unit = |(weights, own): &(Vec<f64>, Vec<f64>)| {
                    own[0] * (sum(weights, present) + own[1] / 2.0).tanh()
                };
                units.iter().map(unit).sum()
            })
        }
        1 => {
            let place = |x: f64| (x.abs() * 1e6) as usize;
            let rules: Vec<(f64, Vec<(usize, bool)>)> = (0..30)
                .map(|_| {
                    let drawn = normals(10);
                    let literal = |at: usize| (place(drawn[at]) % n_players, drawn[at + 4] > 0.0);
                    (drawn[0], (1..=1 + place(drawn[9]) % 4).map(literal).collect())
                })
                .collect();
            Table::of(n_players, |present| {
                let holds =
                    |rule: &Vec<(usize, bool)>| rule.iter().all(|(at, is)| present[*at] == *is);
                rules.iter().filter(|(_, rule)| holds(rule)).map(|(worth, _)| worth).sum()
            })
        }
        2 => {
            let weights: Vec<f64> = normals(n_players).into_iter().map(f64::exp).collect();
            let power = 0.3 + (normals(1)[0].abs() / 2.0).min(1.0);
            Table::of(n_players, |present| sum(&weights, present).powf(power))
        }
        3 => {
            let (weights, own) = (normals(n_players), normals(2));
            Table::of(n_players, |present| {
                1.0 / (1.0 + (-own[0] - own[1].abs() * sum(&weights, present)).exp())
            })
        }
        _ => {
            let sums: Vec<Vec<f64>> = (0..3).map(|_| normals(n_players)).collect();
            Table::of(n_players, |present| {
                sums.iter().map(|weights| sum(weights, present)).fold(f64::MIN, f64::max)
            })
        }
    }
}

/// Euclidean length.
pub(super) fn length(of: &[f64]) -> f64 {
    of.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Euclidean distance.
pub(super) fn distance(a: &[f64], b: &[f64]) -> f64 {
    length(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>())
}

/// The median, the lower of two.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_games_differ_and_are_repeated_by_a_seed() {
        for (kind, name) in KINDS.iter().enumerate() {
            let game = random(kind, 5, 1);
            assert_eq!(game, random(kind, 5, 1));
            assert_ne!(game, random(kind, 5, 2), "{name}");
            assert!(game.rows.iter().flatten().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let game = |at: f64| Table { n_players: 1, rows: vec![vec![at, 1.0], vec![2.0, at]] };
        let games = [game(0.5), game(-3.0)];
        write(file.path(), &games).expect("written");
        assert_eq!(read(file.path()).expect("it is read"), games);
        assert_eq!(std::fs::read(file.path()).expect("bytes").len() % 32, 0);
    }

    #[test]
    fn a_file_of_numpy_is_read() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 1), }\n";
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend([1.5_f32, 4.0].iter().flat_map(|value| value.to_le_bytes()));
        std::fs::write(file.path(), &bytes).expect("written");
        let tables = read(file.path()).expect("it is read");
        assert_eq!(tables, [Table { n_players: 1, rows: vec![vec![1.5], vec![4.0]] }]);
        assert_eq!(tables[0].exact()[0].values, [2.5]);
        std::fs::write(file.path(), &bytes[..bytes.len() - 4]).expect("written");
        assert!(read(file.path()).is_err(), "a cut file");
    }
}
