//! How long a run of the bench may take, and what still fits.

use std::time::{Duration, Instant};

/// How much is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// A small simulated set and what is cheap, in 3 minutes.
    Quick,
    /// All sets, one seed, what fits into 30 minutes.
    Plain,
    /// Everything, three seeds, in 8 hours.
    Full,
}

/// Time that is kept for scoring, as a share of all time.
const KEPT_FOR_SCORES: f64 = 0.25;

/// No work is begun that has less time than this.
const LEAST: Duration = Duration::from_secs(5);

impl Effort {
    /// Seeds that models and peers are trained with.
    pub fn seeds(self) -> &'static [u64] {
        match self {
            Self::Quick | Self::Plain => &[1],
            Self::Full => &[1, 2, 3],
        }
    }

    /// All time.
    pub fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::Quick => 170,
            Self::Plain => 29 * 60,
            Self::Full => 8 * 3600,
        })
    }

    /// Name in the record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Plain => "plain",
            Self::Full => "full",
        }
    }
}

/// What is left of the time.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    started: Instant,
    limit: Duration,
}

impl Budget {
    /// Begins now.
    #[allow(clippy::disallowed_methods, reason = "a bench is limited by the clock")]
    pub fn start(limit: Duration) -> Self {
        Self { started: Instant::now(), limit }
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Time for making forecasts: what is left but for scoring. `None` where that is too little.
    pub fn for_forecasts(&self) -> Option<Duration> {
        let limit = self.limit.mul_f64(1.0 - KEPT_FOR_SCORES);
        enough(limit.checked_sub(self.started.elapsed()))
    }

    /// Time for scoring: all that is left. `None` where that is too little.
    pub fn for_scores(&self) -> Option<Duration> {
        enough(self.limit.checked_sub(self.started.elapsed()))
    }
}

fn enough(left: Option<Duration>) -> Option<Duration> {
    left.filter(|left| *left >= LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forecasts_leave_time_for_scores_and_nothing_begins_without_time() {
        let budget = Budget::start(Effort::Plain.limit());
        let (forecasts, scores) = (budget.for_forecasts(), budget.for_scores());
        let (forecasts, scores) = (forecasts.expect("time"), scores.expect("time"));
        assert!(forecasts < scores.mul_f64(0.8) && scores <= Effort::Plain.limit());
        assert_eq!(enough(Some(Duration::from_secs(4))), None);
        assert_eq!(enough(None), None);
    }
}
