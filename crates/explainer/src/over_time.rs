//! What moves forecasts in general, as of several origins: whether prices came to matter more than they
//! did half a year ago.
//!
//! One model is asked about the same series as they were known at each origin, so what changes is what is
//! known, not who answers. Families are players as wholes, before few background series of the category: that costs
//! a small part of the explanations themselves, since each piece more doubles the coalitions. Such sizes
//! are compared with each other; they are not those of the pieces.

use std::collections::BTreeMap;

use lifecycle::{Forecast, Progress};
use panel::{History, Panel};
use rayon::prelude::*;

use crate::background::{Background, Likeness};
use crate::config::Config;
use crate::error::Error;
use crate::explained::Explained;
use crate::explanation::{Explanation, Question};
use crate::importance::{Moment, importance};
use crate::players::Cut;
use crate::stage::AT_ONCE;

/// Weeks from one origin to the next.
const WEEKS_APART: u32 = 13;

/// Background series at most: those of explanations are more, and finer.
const BACKGROUND_MAX: usize = 2;

/// Series at most: those that sell most.
const SERIES_MAX: usize = 100;

/// Whom to ask, about what.
#[derive(Debug)]
pub(crate) struct OverTime<'a> {
    /// As of the explanations.
    pub(crate) config: &'a Config,
    /// The function that is explained.
    pub(crate) explained: &'a dyn Explained,
    /// Where background series come from.
    pub(crate) panel: &'a Panel,
}

impl OverTime<'_> {
    /// Sizes at each origin up to the last, of the series that had begun by then, the earliest first; an
    /// origin at which nothing can be explained is left out.
    pub(crate) fn of(
        &self,
        served: &[(&History, &Forecast)],
        progress: &dyn Progress,
    ) -> Result<Vec<Moment>, Error> {
        let Self { config, panel, .. } = *self;
        let n_apart = panel.frequency.periods_of_weeks(WEEKS_APART) as i32;
        let served = &served[..served.len().min(SERIES_MAX)];
        let Some(last) = served.iter().map(|(_, forecast)| forecast.origin).max() else {
            return Ok(Vec::new());
        };
        // Sizes of whole families, known exactly: at most 1,028 evaluations a series at four origins, beside
        // those of the explanations.
        let config = Config {
            n_background: config.n_background.min(BACKGROUND_MAX),
            background: Likeness::Category,
            split: Vec::new(),
            drill_down: None,
            method: None,
            evaluations_max: None,
            ..config.clone()
        };
        let mut moments = Vec::new();
        for step in 0..config.n_origins {
            progress.report("importance over time", step as u64, config.n_origins as u64);
            let origin = last.plus(-((config.n_origins - 1 - step) as i32 * n_apart));
            let cut = Cut::new(panel.frequency, origin);
            let one =
                |(history, _): &(&History, &Forecast)| self.explanation(&config, history, cut);
            let mut found: Vec<Explanation> = Vec::new();
            for some in served.chunks(AT_ONCE) {
                if progress.is_cancelled() {
                    return Err(Error::Cancelled);
                }
                let some: Vec<Option<_>> =
                    some.par_iter().map(one).collect::<Result<_, Error>>()?;
                found.extend(some.into_iter().flatten());
            }
            if !found.is_empty() {
                let rows = importance(&found, &BTreeMap::new(), config.seed).rows;
                moments.push(Moment { origin, n_series: found.len(), rows });
            }
        }
        Ok(moments)
    }

    fn explanation(
        &self,
        config: &Config,
        history: &History,
        cut: Cut,
    ) -> Result<Option<Explanation>, Error> {
        let Self { explained, panel, .. } = *self;
        let Some(history) = &history.known_at(cut.origin) else { return Ok(None) };
        let background = Background::of(config, explained, &panel.histories, history, cut)?;
        let Some(background) = background else { return Ok(None) };
        Question { config, explained, history, background, cut }.answer().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::{Outlook, Period, Series, Unwatched};
    use panel::Channel;

    use super::*;
    use crate::explained::Altered;
    use crate::explained::tests::panel;

    /// Answers the units of the last week that it is given, and never gets a later one.
    #[derive(Debug)]
    struct LastWeek;

    impl Explained for LastWeek {
        fn names(&self) -> Vec<String> {
            vec!["units".to_owned()]
        }

        fn outputs(&self, histories: &[History], origin: Period) -> Result<Vec<Vec<f64>>, Error> {
            let last = |history: &History| {
                assert!(history.start.plus(history.n_periods() as i32 - 1) <= origin);
                vec![f64::from(history.value(Channel::Units, origin))]
            };
            Ok(histories.iter().map(last).collect())
        }

        fn forecasts(&self, _: &[Altered], _: Period) -> Result<Vec<Forecast>, Error> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn each_origin_knows_what_was_known_there() {
        let mut panel = panel();
        let mug = panel.histories[0].clone();
        // Even but for its last 13 weeks, where it sells the more the later.
        let mut rising = History { series: Series::of("rising"), ..mug.clone() };
        for (back, units) in
            rising.channels[Channel::Units as usize].iter_mut().rev().take(13).enumerate()
        {
            *units = 30.0 - back as f32;
        }
        let late = History { series: Series::of("late"), start: Period(50), ..mug.clone() };
        // Known to be on sale, and nothing else, until period 50.
        let mut blank = History { series: Series::of("blank"), ..mug };
        blank.channels[Channel::Units as usize][..50].fill(f32::NAN);
        panel.histories.push(rising);
        let config = Config { n_origins: 3, ..Config::default() };
        let over_time = OverTime { config: &config, explained: &LastWeek, panel: &panel };
        let forecast = Forecast {
            series: Series::of("rising"),
            origin: Period(59),
            units: None,
            stage_now: None,
            outlooks: [Outlook { turns: None, stage: None }; 3],
            cold_start: false,
            far_from_training: false,
        };
        let served = [(&panel.histories[1], &forecast), (&late, &forecast), (&blank, &forecast)];
        let moments = over_time.of(&served, &Unwatched).expect("no error");
        let told: Vec<(i32, usize, f64)> = moments
            .iter()
            .map(|moment| (moment.origin.0, moment.n_series, moment.rows[0].size))
            .collect();
        assert_eq!(told[0], (33, 1, 0.0), "flat as the background is");
        assert_eq!(told[1], (46, 1, 0.0));
        assert_eq!((told[2].0, told[2].1), (59, 3));
        assert!(told[2].2 > 3.0, "{told:?}");
        assert!(moments.iter().all(|moment| moment.rows.iter().all(|row| row.player == "sales")));
        let none = Config { n_origins: 0, ..config.clone() };
        let over_time = OverTime { config: &none, ..over_time };
        assert!(over_time.of(&served, &Unwatched).expect("none").is_empty());
    }
}
