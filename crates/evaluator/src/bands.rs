//! Groups of rows that scores are also given for: age, volume, seen or unseen, cold starts.

use serde::{Deserialize, Serialize};

/// Upper ends of the age bands but the last, in weeks since the first sale.
const AGE_BANDS: [f64; 3] = [13.0, 26.0, 52.0];

/// Number of age bands.
pub(crate) const N_AGE_BANDS: usize = AGE_BANDS.len() + 1;

/// Number of volume bands.
pub(crate) const N_VOLUME_BANDS: usize = 3;

/// The age band of a series that first sold so many weeks ago.
pub(crate) fn age_band(weeks: f64) -> u8 {
    AGE_BANDS.partition_point(|end| *end <= weeks) as u8
}

/// A subset of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subset {
    /// Products that no training row is of.
    Unseen,
    /// All others.
    Seen,
    /// One of four age bands, youngest first.
    Age(u8),
    /// One of three volume bands, least first.
    Volume(u8),
    /// At most 4 observed weeks, or 4 periods where these are longer.
    ColdStart,
}

impl Subset {
    /// All subsets, in the order of tables.
    pub const ALL: [Self; 10] = [
        Self::Unseen,
        Self::Seen,
        Self::Age(0),
        Self::Age(1),
        Self::Age(2),
        Self::Age(3),
        Self::Volume(0),
        Self::Volume(1),
        Self::Volume(2),
        Self::ColdStart,
    ];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unseen => "unseen products",
            Self::Seen => "seen products",
            Self::Age(0) => "age below 13 weeks",
            Self::Age(1) => "age 13 to 25 weeks",
            Self::Age(2) => "age 26 to 51 weeks",
            Self::Age(_) => "age 52 weeks and more",
            Self::Volume(0) => "lowest third by volume",
            Self::Volume(1) => "middle third by volume",
            Self::Volume(_) => "highest third by volume",
            Self::ColdStart => "cold starts",
        }
    }
}

/// The volume band of each row: terciles of its units over the last 13 weeks. Equal volumes share a
/// band.
pub(crate) fn volume_bands(volumes: &[f32]) -> Vec<u8> {
    let mut sorted = volumes.to_vec();
    sorted.sort_by(f32::total_cmp);
    let ends: Vec<f32> = (1..N_VOLUME_BANDS)
        .filter_map(|third| sorted.get(third * sorted.len() / N_VOLUME_BANDS).copied())
        .collect();
    let band = |volume: &f32| ends.iter().filter(|end| *volume >= **end).count() as u8;
    volumes.iter().map(band).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_fall_into_the_bands_of_the_protocol() {
        let bands = [0.0, 12.9, 13.0, 25.0, 26.0, 51.0, 52.0, 300.0].map(age_band);
        assert_eq!(bands, [0, 0, 1, 1, 2, 2, 3, 3]);
    }

    #[test]
    fn volumes_fall_into_thirds() {
        let volumes: Vec<f32> = (0..9).map(|n| ((n * 5) % 9) as f32).collect();
        let bands = volume_bands(&volumes);
        // Volumes 0, 5, 1, 6, 2, 7, 3, 8, 4.
        assert_eq!(bands, [0, 1, 0, 2, 0, 2, 1, 2, 1]);
        assert!(volume_bands(&[]).is_empty());
        assert_eq!(volume_bands(&[1.0; 4]), [2; 4]);
    }
}
