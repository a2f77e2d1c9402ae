//! Whether explanations follow the model, and the model the world.
//!
//! - Weights at random must change attributions (Adebayo et al. 2018): rank correlation.
//! - Deletion: players are taken away by their values, greatest first and least first; the area
//!   between the two curves of the output, over its range (Samek et al. 2017), beside that of
//!   leave-one-out and of random orders.
//! - Truth: of sales, price and promotion, the one that moved a product's units furthest from those of
//!   its background by the simulator's own account, and how often an explanation finds it.

use explainer::estimator::Method;
use lifecycle::ProductId;
use panel::History;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tables::{MECHANISMS, Truth};

use super::games::{Table, median};
use super::own::Own;
use super::{Line, estimated};

/// Rank correlation that random weights must stay below.
const SPEARMAN_MAX: f64 = 0.5;

/// Random orders of deletion for each game and output.
const N_ORDERS: usize = 20;

/// Products whose drivers are known.
const N_PRODUCTS: usize = 200;

/// Weeks up to the origin whose mechanisms count.
const N_WEEKS: usize = 13;

/// Players by name beside the mechanism of the simulator that works through them.
const DRIVERS: [(&str, &str); 3] =
    [("sales", "life cycle"), ("price", "price"), ("promotion", "promotion")];

/// Rank correlation of the values of a trained model and of one that learnt nothing.
pub(super) fn randomised(trained: &[Table], random: &[Table]) -> Line {
    let correlations = trained.iter().zip(random).flat_map(|(trained, random)| {
        let (trained, random) = (trained.exact(), random.exact());
        let pairs = trained.into_iter().zip(random);
        pairs.map(|(a, b)| spearman(&a.values, &b.values)).collect::<Vec<_>>()
    });
    let correlations: Vec<f64> = correlations.collect();
    let n = correlations.len();
    let found = median(correlations);
    Line {
        ours: Some(found),
        better: format!("below {SPEARMAN_MAX}"),
        holds: Some(found < SPEARMAN_MAX),
        n,
        ..Line::new("own model, weights at random".to_owned(), "Spearman", Method::Exact)
    }
}

/// Areas between the curves of deletion by values, by leave-one-out and at random.
pub(super) fn deletion(tables: &[Table]) -> Vec<Line> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut of_values, mut of_leaving, mut of_chance) = (Vec::new(), Vec::new(), Vec::new());
    for table in tables {
        for (output, exact) in table.exact().iter().enumerate() {
            of_values.push(area(table, output, &exact.values));
            of_leaving.push(area(table, output, &leave_one_out(table, output)));
            let mut orders: Vec<f64> = (0..table.n_players).map(|at| at as f64).collect();
            let random = (0..N_ORDERS).map(|_| {
                orders.shuffle(&mut rng);
                area(table, output, &orders)
            });
            of_chance.push(random.sum::<f64>() / N_ORDERS as f64);
        }
    }
    let mean = |areas: &[f64]| areas.iter().sum::<f64>() / areas.len() as f64;
    let ours = mean(&of_values);
    let line = |name: &str, areas: &[f64]| Line {
        ours: Some(ours),
        peer: Some(mean(areas)),
        peer_name: Some(name.to_owned()),
        better: "higher".to_owned(),
        holds: Some(ours > mean(areas)),
        n: areas.len(),
        ..Line::new("own model, deletion".to_owned(), "area", Method::Exact)
    };
    vec![line("leave-one-out", &of_leaving), line("random orders", &of_chance)]
}

/// How often the driver that the simulator names is found, by several ways to credit players.
pub(super) fn drivers(own: &Own) -> anyhow::Result<Vec<Line>> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let names = ["exact", "half of the coalitions", "leave-one-out", "at random"];
    let (mut found, mut n, mut n_sales) = ([0_usize; 4], 0, 0);
    for history in own.products(N_PRODUCTS)? {
        let Some(driver) = true_driver(own, history)? else { continue };
        let (table, players) = own.families(history, 8)?;
        let Some(places) = places(&players) else { continue };
        let greatest = |values: &[f64]| {
            let size = |driver: &usize| values[places[*driver]].abs();
            (0..DRIVERS.len()).max_by(|a, b| size(a).total_cmp(&size(b)))
        };
        let half = table.rows.len() / 2;
        let said = [
            greatest(&table.exact()[0].values),
            greatest(&estimated(&table, Method::Gaussian, half, 1).attributions[0].values),
            greatest(&leave_one_out(&table, 0)),
            Some(rng.random_range(0..DRIVERS.len())),
        ];
        for (found, said) in found.iter_mut().zip(said) {
            *found += usize::from(said == Some(driver));
        }
        n += 1;
        n_sales += usize::from(driver == 0);
    }
    let share = |count: usize| count as f64 / f64::from(n.max(1) as u32);
    let case = format!(
        "own model, top of sales, price, promotion for units; sales are it in {:.2}",
        share(n_sales)
    );
    let line = |at: usize| Line {
        ours: Some(share(found[0])),
        peer: Some(share(found[at])),
        peer_name: Some(names[at].to_owned()),
        better: "higher".to_owned(),
        holds: None,
        n,
        ..Line::new(case.clone(), "share found", Method::Exact)
    };
    Ok((1..names.len()).map(line).collect())
}

/// Which of [`DRIVERS`] moved the units of the last weeks furthest from those of the background, at
/// one level; nothing where the truth is not told.
fn true_driver(own: &Own, history: &History) -> anyhow::Result<Option<usize>> {
    let Some(own_parts) = parts(own, &history.series.product) else { return Ok(None) };
    let background = own.background(history, 8)?;
    let mut apart = own_parts;
    for (other, weight) in background.histories.iter().zip(&background.weights) {
        let Some(of_other) = parts(own, &other.series.product) else { return Ok(None) };
        for (apart, of_other) in apart.iter_mut().zip(of_other) {
            *apart -= weight * of_other;
        }
    }
    Ok((0..DRIVERS.len()).max_by(|a, b| apart[*a].abs().total_cmp(&apart[*b].abs())))
}

/// What each mechanism of [`DRIVERS`] added in the last weeks, over the product's mean demand.
fn parts(own: &Own, product: &ProductId) -> Option<[f64; DRIVERS.len()]> {
    let truth: &Truth = own.truth.get(product)?;
    let frequency = own.panel().frequency;
    let first = frequency.period_of(truth.day);
    let end = usize::try_from(own.origin().since(first) + 1).ok()?.min(truth.demand.len());
    let demand = &truth.demand[..end];
    let level = demand.iter().map(|units| f64::from(*units)).sum::<f64>() / end.max(1) as f64;
    let weeks = truth.contributions.chunks_exact(MECHANISMS.len()).take(end);
    let recent: Vec<&[f32]> = weeks.skip(end.saturating_sub(N_WEEKS)).collect();
    let of_driver = |(_, mechanism): (&str, &str)| {
        let at = MECHANISMS.iter().position(|name| *name == mechanism)?;
        let sum: f64 = recent.iter().map(|week| f64::from(week[at])).sum();
        Some(sum / recent.len() as f64 / level)
    };
    let parts = DRIVERS.map(of_driver);
    let is_told = level > 0.0 && !recent.is_empty();
    is_told.then(|| parts.map(Option::unwrap_or_default))
}

/// Where the players of [`DRIVERS`] stand.
fn places(players: &[String]) -> Option<[usize; DRIVERS.len()]> {
    let place = |(player, _): (&str, &str)| players.iter().position(|name| name == player);
    let [a, b, c] = DRIVERS.map(place);
    Some([a?, b?, c?])
}

/// What the output loses without each player alone.
fn leave_one_out(table: &Table, output: usize) -> Vec<f64> {
    let all = table.rows.len() - 1;
    let without = |player: usize| table.rows[all][output] - table.rows[all ^ 1 << player][output];
    (0..table.n_players).map(without).collect()
}

/// The mean distance of the output when players leave from the least value on, and from the
/// greatest on, over the range of the output.
fn area(table: &Table, output: usize, values: &[f64]) -> f64 {
    let mut order: Vec<usize> = (0..table.n_players).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]).then(a.cmp(b)));
    let curve = |order: &mut dyn Iterator<Item = &usize>| {
        let mut present = table.rows.len() - 1;
        let mut sum = 0.0;
        for player in order {
            present ^= 1 << player;
            sum += table.rows[present][output];
        }
        sum
    };
    let between = curve(&mut order.iter().rev()) - curve(&mut order.iter());
    let column = || table.rows.iter().map(|row| row[output]);
    let range = column().fold(f64::MIN, f64::max) - column().fold(f64::MAX, f64::min);
    if range > 0.0 { between / range / table.n_players as f64 } else { 0.0 }
}

/// Spearman's rank correlation; of equals the first ranks first.
fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let ranks = |of: &[f64]| {
        let mut order: Vec<usize> = (0..of.len()).collect();
        order.sort_by(|i, j| of[*i].total_cmp(&of[*j]).then(i.cmp(j)));
        let mut ranks = vec![0.0; of.len()];
        for (rank, at) in order.into_iter().enumerate() {
            ranks[at] = rank as f64;
        }
        ranks
    };
    let n = a.len() as f64;
    let apart = ranks(a).iter().zip(ranks(b)).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
    1.0 - 6.0 * apart / (n * (n * n - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_correlate_by_their_order_alone() {
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[-5.0, 0.0, 90.0]), 1.0);
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[9.0, 8.0, 7.0]), -1.0);
        assert_eq!(spearman(&[1.0, 2.0, 3.0, 4.0], &[2.0, 1.0, 4.0, 3.0]), 0.6);
    }

    #[test]
    fn who_deletes_by_true_values_has_the_greater_area() {
        let table = Table::of(3, |present| {
            f64::from(u8::from(present[0])) * 3.0 - f64::from(u8::from(present[2]))
        });
        // Without player 0 first: 0-1, 0-1, 0; without player 2 first: 3, 3, 0.
        assert_eq!(area(&table, 0, &[3.0, 0.0, -1.0]), 8.0 / 4.0 / 3.0);
        assert_eq!(leave_one_out(&table, 0), [3.0, 0.0, -1.0]);
        assert!(area(&table, 0, &[-1.0, 0.0, 3.0]) < 0.0);
    }
}
