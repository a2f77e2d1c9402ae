//! The base rate: how often each turn and stage came in training rows of the same age band.

use lifecycle::{Outlook, Stage, StageProbabilities};

use crate::bands::N_AGE_BANDS;

/// Training rows that an age band must have; below that it takes the rate of all ages.
const ROWS_MIN: f64 = 30.0;

/// Sums over training rows by age band.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sums<const N: usize> {
    by_age: [[f64; N]; N_AGE_BANDS],
    n: [f64; N_AGE_BANDS],
}

impl<const N: usize> Sums<N> {
    fn new() -> Self {
        Self { by_age: [[0.0; N]; N_AGE_BANDS], n: [0.0; N_AGE_BANDS] }
    }

    fn add(&mut self, age_band: u8, values: [f64; N], weight: f64) {
        let band = usize::from(age_band);
        for (sum, value) in self.by_age[band].iter_mut().zip(values) {
            *sum += weight * value;
        }
        self.n[band] += weight;
    }

    fn merge(&mut self, other: &Self) {
        for band in 0..N_AGE_BANDS {
            self.n[band] += other.n[band];
            for (sum, value) in self.by_age[band].iter_mut().zip(other.by_age[band]) {
                *sum += value;
            }
        }
    }

    /// Means of the band, or of all bands where it is thin; `None` without rows.
    fn rates(&self, age_band: u8) -> Option<[f64; N]> {
        let band = usize::from(age_band);
        let (sums, n) = if self.n[band] >= ROWS_MIN {
            (self.by_age[band], self.n[band])
        } else {
            let total = |at: usize| self.by_age.iter().map(|sums| sums[at]).sum();
            (std::array::from_fn(total), self.n.iter().sum())
        };
        (n > 0.0).then(|| sums.map(|sum| sum / n))
    }
}

/// Rates of turns and stages, counted over training rows.
#[derive(Debug, Clone)]
pub(crate) struct BaseRate {
    turns: [Sums<3>; 3],
    /// Now, and at the three horizons.
    stages: [Sums<5>; 4],
}

impl Default for BaseRate {
    fn default() -> Self {
        Self { turns: [Sums::new(); 3], stages: [Sums::new(); 4] }
    }
}

impl BaseRate {
    /// Counts a training row of turns at one of [`lifecycle::OUTLOOK_WEEKS`].
    pub(crate) fn add_turns(&mut self, outlook: usize, age_band: u8, came: [bool; 3]) {
        let came = came.map(|came| f64::from(u8::from(came)));
        self.turns[outlook].add(age_band, came, 1.0);
    }

    /// Counts a training row of stages: `ahead` 0 is now, else the outlook after it.
    pub(crate) fn add_stage(&mut self, ahead: usize, age_band: u8, label: [f64; 5], weight: f64) {
        self.stages[ahead].add(age_band, label, weight);
    }

    /// Adds what another has counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (sums, other) in self.turns.iter_mut().zip(&other.turns) {
            sums.merge(other);
        }
        for (sums, other) in self.stages.iter_mut().zip(&other.stages) {
            sums.merge(other);
        }
    }

    /// What is said of a series of this age.
    pub(crate) fn outlooks(&self, age_band: u8) -> [Outlook; 3] {
        std::array::from_fn(|outlook| Outlook {
            turns: self.turns[outlook].rates(age_band).map(|rates| rates.map(|rate| rate as f32)),
            stage: self.stages[outlook + 1].rates(age_band).map(StageProbabilities::from_weights),
        })
    }

    /// The stage now; *ended* is 0.
    pub(crate) fn stage_now(&self, age_band: u8) -> Option<StageProbabilities> {
        let mut rates = self.stages[0].rates(age_band)?;
        rates[Stage::Ended.index()] = 0.0;
        Some(StageProbabilities::from_weights(rates))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_rate_is_the_frequency_of_its_class() {
        let mut rates = BaseRate::default();
        for row in 0..100 {
            rates.add_turns(1, 2, [row % 4 == 0, row % 10 == 0, false]);
            rates.add_turns(1, 0, [true, false, false]);
        }
        let [none, some, _] = rates.outlooks(2);
        assert_eq!(some.turns, Some([0.25, 0.1, 0.0]));
        assert_eq!((none.turns, none.stage), (None, None));
        assert_eq!(rates.outlooks(0)[1].turns, Some([1.0, 0.0, 0.0]));
        // A band without rows takes the rate of all.
        assert_eq!(rates.outlooks(3)[1].turns, Some([0.625, 0.05, 0.0]));
    }

    #[test]
    fn stages_are_weighted_and_ended_is_left_out_of_now() {
        let mut rates = BaseRate::default();
        assert_eq!(rates.stage_now(0), None);
        rates.add_stage(0, 0, [0.0, 1.0, 0.0, 0.0, 0.0], 30.0);
        rates.add_stage(0, 0, [0.0, 0.0, 1.0, 0.0, 0.0], 10.0);
        rates.add_stage(0, 0, [0.0, 0.0, 0.0, 0.0, 1.0], 10.0);
        let now = rates.stage_now(0).expect("rows");
        assert_eq!(now.of(Stage::Growth), 0.75);
        assert_eq!(now.of(Stage::Ended), 0.0);
        rates.add_stage(2, 0, [0.0, 0.0, 0.0, 0.0, 1.0], 1.0);
        let ended = rates.outlooks(0)[1].stage.expect("rows");
        assert_eq!(ended.of(Stage::Ended), 1.0);
    }
}
