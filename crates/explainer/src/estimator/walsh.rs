//! The Walsh-Hadamard transform: from a table over coalitions to its terms and back.

/// Replaces `values[x]` by the sum over `t` of `(-1)^|t & x| values[t]`, in `n log n` steps.
///
/// Doing it twice multiplies by the length.
///
/// # Panics
///
/// If the length is not a power of 2.
pub(crate) fn transform(values: &mut [f64]) {
    assert!(values.len().is_power_of_two(), "one value a coalition");
    let mut half = 1;
    while half < values.len() {
        for block in values.chunks_exact_mut(2 * half) {
            let (left, right) = block.split_at_mut(half);
            for (left, right) in left.iter_mut().zip(right) {
                (*left, *right) = (*left + *right, *left - *right);
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_is_the_length_times_the_same() {
        let mut values = vec![3.0, -1.0, 2.0, 0.5];
        transform(&mut values);
        assert_eq!(values, [4.5, 5.5, -0.5, 2.5]);
        transform(&mut values);
        assert_eq!(values, [12.0, -4.0, 8.0, 2.0]);
    }
}
