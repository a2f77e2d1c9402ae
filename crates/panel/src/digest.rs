//! The digest of what a forecast is made from.

use lifecycle::{Digest, Hasher, Period};

use crate::{History, Plan, Statics};

impl History {
    /// SHA-256 of the series as an input: whose, its statics and every value, with what is planned
    /// for the periods after it. Equal inputs have equal digests, wherever they come from.
    ///
    /// A forecast from an origin is named by the digest of [`History::known_at`] that origin:
    /// corrections known by then are part of the units, and labels are no input.
    pub fn inputs_digest(&self, plan: &Plan) -> Digest {
        let Self { series, statics, start, channels, corrections: _, given_stage: _ } = self;
        let Statics { category, brand, title, launch, end } = statics;
        let mut hasher = Hasher::default();
        let mut text = |text: &str| {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text);
        };
        text(series.product.as_str());
        text(series.location.as_ref().map_or("", |location| location.as_str()));
        text(brand.as_deref().unwrap_or_default());
        text(title.as_deref().unwrap_or_default());
        for level in category {
            text(level);
        }
        let no_period = Period(i32::MIN);
        for period in [Some(*start), *launch, *end] {
            hasher.update(period.unwrap_or(no_period).0.to_le_bytes());
        }
        for values in channels.iter().chain([&plan.prices, &plan.promotions]) {
            hasher.update((values.len() as u64).to_le_bytes());
            for value in values {
                // There are many NaNs, and all of them say "missing".
                let value = if value.is_nan() { f32::NAN } else { *value };
                hasher.update(value.to_bits().to_le_bytes());
            }
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::Series;

    use super::*;
    use crate::Channel;

    #[test]
    fn every_input_changes_the_digest_and_nothing_else_does() {
        let mut channels: [Vec<f32>; 8] = Default::default();
        channels[Channel::Units as usize] = vec![1.0, f32::NAN];
        let history = History {
            series: Series::of("mug"),
            statics: Statics::default(),
            start: Period(7),
            channels,
            corrections: Vec::new(),
            given_stage: Vec::new(),
        };
        let digest = history.inputs_digest(&Plan::default());
        let changed = |change: fn(&mut History)| {
            let mut other = history.clone();
            change(&mut other);
            other.inputs_digest(&Plan::default())
        };
        let changes: [fn(&mut History); 6] = [
            |history| history.series = Series::of("cup"),
            |history| history.start = Period(8),
            |history| history.statics.category.push("kitchen".into()),
            |history| history.statics.launch = Some(Period(3)),
            |history| history.channels[0][0] = 2.0,
            |history| history.channels[Channel::Price as usize] = vec![1.0, f32::NAN],
        ];
        for change in changes {
            assert_ne!(changed(change), digest);
        }
        assert_eq!(changed(|history| history.channels[0][1] = -f32::NAN), digest);
        assert_eq!(changed(|history| history.given_stage = vec![1, 1]), digest);
        let plan = Plan { prices: vec![3.0], promotions: Vec::new() };
        assert_ne!(history.inputs_digest(&plan), digest);
    }
}
