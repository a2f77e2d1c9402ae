//! Lives of known demand bought by two halves of buyers.

use std::collections::BTreeSet;

use lifecycle::season::Seasons;
use lifecycle::{ProductId, Series};
use panel::{Channel, History, Panel, Statics};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

const N_WEEKS: usize = 156;

/// How buyers come.
#[derive(Clone, Copy)]
struct Buyers {
    /// Units a week of the whole at the peak.
    peak: f64,
    /// How far interest of a half drifts from the life, week after week, in its logarithm.
    drift: f64,
}

/// The whole and its halves: trapezoid lives that begin all over the first year.
fn bought(buyers: Buyers) -> (Panel, [Panel; 2]) {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let (mut whole, mut halves) = (Vec::new(), [Vec::new(), Vec::new()]);
    for number in 0..80 {
        let start = 9 + 7 * number % 40;
        let durations = [[4, 8][number % 2], [8, 18][number / 2 % 2], 16 + number % 30, 40];
        let levels = levels(durations, N_WEEKS - start);
        let of_half = [0, 1].map(|_| units(&mut random, &levels, buyers));
        let sum = of_half[0].iter().zip(&of_half[1]).map(|(one, other)| one + other).collect();
        let name = format!("{number:02}");
        whole.push(history(&name, start, sum));
        for (half, units) in halves.iter_mut().zip(of_half) {
            half.push(history(&name, start, units));
        }
    }
    (panel(whole), halves.map(panel))
}

/// Introduction, growth, maturity, decline, in weeks, and silence after them.
fn levels([introduction, growth, maturity, decline]: [usize; 4], n_weeks: usize) -> Vec<f64> {
    let level = |week: usize| {
        let (ripe, fades) = (introduction + growth, introduction + growth + maturity);
        match week {
            week if week < introduction => 0.06,
            week if week < ripe => 0.08 + 0.92 * (week - introduction) as f64 / growth as f64,
            week if week < fades => 1.0,
            week => (1.0 - (week - fades) as f64 / decline as f64).max(0.0),
        }
    };
    (0..n_weeks).map(level).collect()
}

/// What one half buys.
fn units(random: &mut ChaCha8Rng, levels: &[f64], buyers: Buyers) -> Vec<f32> {
    let mut log_interest = 0.0;
    let of_week = |level: &f64| {
        let noise: f64 = (0..12).map(|_| random.random_range(0.0..1.0)).sum::<f64>() - 6.0;
        log_interest = 0.85 * log_interest + buyers.drift * noise;
        poisson(random, level * buyers.peak / 2.0 * f64::exp(log_interest)) as f32
    };
    levels.iter().map(of_week).collect()
}

/// Knuth's count of uniform factors.
fn poisson(random: &mut ChaCha8Rng, mean: f64) -> f64 {
    let (least, mut product, mut n) = ((-mean).exp(), 1.0, -1.0);
    while product > least {
        product *= random.random_range(0.0..1.0);
        n += 1.0;
    }
    n
}

fn history(product: &str, start: usize, units: Vec<f32>) -> History {
    let mut channels: [Vec<f32>; 8] = Default::default();
    channels[Channel::Units as usize] = units;
    History {
        series: Series::of(product),
        statics: Statics { launch: Some(Period(start as i32)), ..Statics::default() },
        start: Period(start as i32),
        channels,
        corrections: Vec::new(),
        given_stage: Vec::new(),
    }
}

fn panel(histories: Vec<History>) -> Panel {
    Panel {
        frequency: Frequency::Week,
        start: Period(0),
        n_periods: N_WEEKS,
        units_per_one: 1.0,
        share_depth: 0,
        all_lives_ended: false,
        histories,
    }
}

fn reliability_of(buyers: Buyers) -> tables::LabelReliability {
    let (whole, halves) = bought(buyers);
    let unseen = BTreeSet::new();
    let evidence = Evidence::new(&whole, &unseen, Purpose::Test);
    let smoother = Smoother::new(&evidence, 0.25);
    reliability(&smoother, &smoother.labels(), Some(&halves))
}

#[test]
fn halves_agree_as_far_as_their_sales_tell() {
    let kappa = |peak| {
        let found = reliability_of(Buyers { peak, drift: 0.0 }).halves.expect("halves");
        assert!(found.n_products > 30 && found.agreement > found.kappa, "{found:?}");
        found.kappa
    };
    let (many, few) = (kappa(200.0), kappa(2.0));
    assert!(many > 0.9, "{many}");
    assert!(few < many - 0.1, "{few} against {many}");
}

#[test]
fn clean_lives_settle_and_the_level_rule_reads_them_alike() {
    let found = reliability_of(Buyers { peak: 200.0, drift: 0.0 });
    let shares: Vec<f64> = found.settling.iter().map(|one| one.all.agreement).collect();
    assert_eq!(shares.len(), 4);
    assert!(shares[3] > 0.9 && shares[3] >= shares[0], "{shares:?}");
    let by_volume: u64 = found.settling[0].by_volume.iter().map(|third| third.n).sum();
    assert_eq!(by_volume, found.settling[0].all.n);
    let level_rule = found.level_rule.expect("cases");
    assert!(level_rule.kappa > 0.6, "{level_rule:?}");
}

#[test]
fn lambda_is_less_where_neighbouring_weeks_are_not_independent() {
    let fitted = |drift| {
        let (whole, halves) = bought(Buyers { peak: 30.0, drift });
        let unseen = BTreeSet::new();
        let evidence = Evidence::new(&whole, &unseen, Purpose::Training);
        let fit = fit_lambda(&evidence, &halves).expect("enough products");
        let least = fit.tried.iter().min_by(|one, other| one.log_loss.total_cmp(&other.log_loss));
        (least.expect("tried").lambda, fit)
    };
    let ((independent, one), (drifting, other)) = (fitted(0.0), fitted(0.35));
    assert!(drifting < independent, "{other:?} against {one:?}");
    assert!(other.chosen() <= one.chosen());
}

#[test]
fn a_product_does_not_shape_its_own_training_label() {
    let (whole, _) = bought(Buyers { peak: 30.0, drift: 0.0 });
    let unseen = BTreeSet::new();
    let read = |panel| {
        // Through the season of the others it still does, a little.
        let evidence = Evidence::new(panel, &unseen, Purpose::Training);
        evidence.with_seasons(Seasons::flat(Frequency::Week))
    };
    let evidence = read(&whole);
    let first = ProductId::from("00");
    let own = evidence.fold(&first);
    let mut changed = whole.clone();
    changed.histories[0].channels[Channel::Units as usize].reverse();
    let other = read(&changed);
    let priors = |evidence: &Evidence<'_>| Smoother::new(evidence, 0.25).priors;
    for (fold, (before, after)) in priors(&evidence).iter().zip(priors(&other)).enumerate() {
        assert_eq!(*before == after, fold == own, "{fold}");
    }
}
