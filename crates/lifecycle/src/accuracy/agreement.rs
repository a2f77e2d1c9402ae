//! Agreement of two raters who each name one of `N` classes.

/// Share of cases in which both name the same class, and Cohen's kappa (1960): agreement beyond
/// what the two would reach by chance, from counts by class of the one (rows) and of the other.
///
/// Kappa is 1 where both always name one and the same class; `None` without a case.
pub fn agreement<const N: usize>(confusion: &[[u64; N]; N]) -> Option<(f64, f64)> {
    let n: u64 = confusion.iter().flatten().sum();
    if n == 0 {
        return None;
    }
    let share = |count: u64| count as f64 / n as f64;
    let agreed = share((0..N).map(|class| confusion[class][class]).sum());
    let by_chance: f64 = (0..N)
        .map(|class| {
            let other = confusion.iter().map(|row| row[class]).sum();
            share(confusion[class].iter().sum()) * share(other)
        })
        .sum();
    let kappa = if by_chance < 1.0 { (agreed - by_chance) / (1.0 - by_chance) } else { 1.0 };
    Some((agreed, kappa))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kappa_is_what_is_left_of_agreement_after_chance() {
        assert_eq!(agreement(&[[0; 2]; 2]), None);
        assert_eq!(agreement(&[[7, 0], [0, 0]]), Some((1.0, 1.0)));
        // Cohen's own kind of example: agreed .7, by chance .5.
        let (agreed, kappa) = agreement(&[[35, 15], [15, 35]]).expect("cases");
        assert!((agreed - 0.7).abs() < 1e-12 && (kappa - 0.4).abs() < 1e-12);
        let (_, kappa) = agreement(&[[25, 25], [25, 25]]).expect("cases");
        assert!(kappa.abs() < 1e-12);
    }
}
