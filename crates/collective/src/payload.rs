//! Values as bytes: 32 bits each, or 16 with a scale that the chunk shares.
//!
//! A 16-bit float holds three decimal digits between 6e-8 and 65504; gradients are often smaller
//! than that, and their sums larger. So a chunk of 16-bit values begins with a power of two, its
//! scale, by which the largest of them comes to lie in [2^14, 2^15). The scale is taken after rounding,
//! which makes writing what was read give the same bytes again: all ranks hold equal values,
//! whether they rounded themselves or read what another one rounded.

use half::f16;

use crate::frame::FrameError;

/// How values travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// As they are, 4 bytes each.
    #[default]
    Full,
    /// Rounded to 16 bits with a scale by chunk, 2 bytes each: half the traffic, and an error of at
    /// most 2^-11 of the chunk's largest value (of a value itself, unless it is 2^29 times smaller
    /// than that) for each time that a partial sum is sent on.
    Half,
}

/// Bytes of a scale.
const SCALE_LEN: usize = 4;

impl Precision {
    /// Bytes that `n_values` take.
    pub(crate) fn encoded_len(self, n_values: usize) -> usize {
        match self {
            Self::Full => 4 * n_values,
            Self::Half => SCALE_LEN + 2 * n_values,
        }
    }

    /// Appends the values' bytes.
    pub(crate) fn encode(self, values: &[f32], bytes: &mut Vec<u8>) {
        let from = bytes.len();
        bytes.resize(from + self.encoded_len(values.len()), 0);
        let bytes = &mut bytes[from..];
        match self {
            Self::Full => {
                for (bytes, value) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(values) {
                    *bytes = value.to_le_bytes();
                }
            }
            Self::Half => {
                let scale = scale(values);
                let (head, bytes) = bytes.split_at_mut(SCALE_LEN);
                head.copy_from_slice(&scale.to_le_bytes());
                let inverse = scale.recip();
                for (bytes, value) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(values) {
                    *bytes = f16::from_f32(value * inverse).to_le_bytes();
                }
            }
        }
    }

    /// Calls `put` with each value's place and what came for it.
    pub(crate) fn decode(
        self,
        bytes: &[u8],
        values: &mut [f32],
        put: impl Fn(&mut f32, f32),
    ) -> Result<(), FrameError> {
        let expected = self.encoded_len(values.len());
        if bytes.len() != expected {
            return Err(FrameError::Length { expected, found: bytes.len() });
        }
        match self {
            Self::Full => {
                for (bytes, value) in bytes.as_chunks::<4>().0.iter().zip(values) {
                    put(value, f32::from_le_bytes(*bytes));
                }
            }
            Self::Half => {
                let (head, bytes) = bytes.split_at(SCALE_LEN);
                let scale = f32::from_le_bytes([head[0], head[1], head[2], head[3]]);
                if !scale.is_normal() || scale < 0.0 {
                    return Err(FrameError::Scale);
                }
                for (bytes, value) in bytes.as_chunks::<2>().0.iter().zip(values) {
                    put(value, f16::from_le_bytes(*bytes).to_f32() * scale);
                }
            }
        }
        Ok(())
    }

    /// Rounds values to what their receivers will read.
    pub(crate) fn round(self, values: &mut [f32]) {
        if self == Self::Half {
            let scale = scale(values);
            let inverse = scale.recip();
            for value in values {
                *value = f16::from_f32(*value * inverse).to_f32() * scale;
            }
        }
    }
}

/// The power of two by which the largest value, rounded, comes to lie in [2^14, 2^15); 1 where
/// that is 0 or no number.
fn scale(values: &[f32]) -> f32 {
    // The bits of positive floats are in the order of the floats, and integers have a plain `max`.
    let largest = values.iter().map(|value| value.to_bits() & 0x7fff_ffff).max().unwrap_or(0);
    let exponent = |bits: u32| (bits >> 23) as i32 - 127;
    if largest == 0 || exponent(largest) == 128 {
        return 1.0;
    }
    // 10 of 23 bits of the fraction stay; half of what falls off may carry into the exponent.
    let rounded = exponent(largest + 0x0fff + (largest >> 13 & 1));
    let exponent = (rounded - 14).clamp(-126, 126);
    f32::from_bits(((exponent + 127) as u32) << 23)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(precision: Precision, bytes: &[u8], n: usize) -> Result<Vec<f32>, FrameError> {
        let mut values = vec![0.0; n];
        precision.decode(bytes, &mut values, |place, value| *place = value)?;
        Ok(values)
    }

    proptest! {
        #[test]
        fn rounding_once_is_rounding_for_good(bits in prop::collection::vec(any::<u32>(), 0..50)) {
            let mut values: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
            values.retain(|value| value.is_finite());
            let mut first = Vec::new();
            Precision::Half.encode(&values, &mut first);
            let once = read(Precision::Half, &first, values.len()).unwrap();
            Precision::Half.round(&mut values);
            prop_assert_eq!(bits_of(&values), bits_of(&once));
            // Above this the largest may round to infinity, which has no scale.
            if once.iter().all(|value| value.is_finite()) {
                let mut second = Vec::new();
                Precision::Half.encode(&once, &mut second);
                prop_assert_eq!(first, second);
            }
        }

        #[test]
        fn rounding_is_near(values in prop::collection::vec(-1.0_f32..1.0, 1..50), scale in -90..90)
        {
            let values: Vec<f32> =
                values.into_iter().map(|value| value * 2_f32.powi(scale)).collect();
            let mut rounded = values.clone();
            Precision::Half.round(&mut rounded);
            let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            for (rounded, value) in rounded.iter().zip(&values) {
                let error = (rounded - value).abs();
                prop_assert!(error <= value.abs().max(largest * 2_f32.powi(-29)) * 2_f32.powi(-11));
            }
        }

        #[test]
        fn all_bits_travel(bits in prop::collection::vec(any::<u32>(), 0..50)) {
            let values: Vec<f32> = bits.iter().copied().map(f32::from_bits).collect();
            let mut bytes = Vec::new();
            Precision::Full.encode(&values, &mut bytes);
            prop_assert_eq!(bits_of(&read(Precision::Full, &bytes, values.len()).unwrap()), bits);
        }
    }

    fn bits_of(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn what_is_no_number_stays_none() {
        let mut values = [f32::NAN, f32::INFINITY, 1.0];
        Precision::Half.round(&mut values);
        assert!(values[0].is_nan() && values[1] == f32::INFINITY && values[2] == 1.0);
    }

    #[test]
    fn wrong_lengths_and_scales_are_errors() {
        assert!(read(Precision::Full, &[0; 7], 2).is_err());
        assert!(read(Precision::Half, &[0; 7], 2).is_err());
        for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            let bytes = [&scale.to_le_bytes()[..], &[0; 4]].concat();
            assert_eq!(read(Precision::Half, &bytes, 2), Err(FrameError::Scale));
        }
    }
}
