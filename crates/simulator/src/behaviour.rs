//! Views and carts by day: they follow this week's interest and, ahead of sales, that of the next
//! two weeks; they know the slow drift of demand but not the luck of a single week.

use crate::draws::{Draws, spread};
use crate::product::Fate;
use crate::records::EventRow;
use crate::season;
use crate::world::Mechanisms;

/// How a week's visits to product pages spread over its days.
const WEEKDAYS: [f64; 7] = [0.95, 0.95, 0.95, 1.0, 0.95, 1.05, 1.15];

/// The daily counts of a product, zeros left out.
pub(crate) fn events(draws: &mut Draws, mechanisms: &Mechanisms, fate: &Fate) -> Vec<EventRow> {
    let views_per_line = draws.log_normal(spread(18.0, 0.5));
    let carts_per_line = draws.log_normal(spread(2.2, 0.3));
    let interest: Vec<f64> = fate.weeks.iter().map(|sold| sold.interest).collect();
    let follows = |index: usize| -> f64 {
        let ahead = index.checked_sub(interest.len());
        let after = || fate.interest_after.get(ahead.unwrap_or(0)).copied().unwrap_or(0.0);
        interest.get(index).copied().unwrap_or_else(after)
    };
    let [two_ahead, one_ahead, now] = mechanisms.views_lead;
    let mut rows = Vec::new();
    for (index, sold) in fate.weeks.iter().enumerate() {
        let steady = mechanisms.views_steadiness;
        let coming =
            now * interest[index] + one_ahead * follows(index + 1) + two_ahead * follows(index + 2);
        let views = views_per_line * coming * draws.gamma(steady);
        let carts = carts_per_line * (0.5 * interest[index] + 0.5 * follows(index + 1));
        let carts = carts * draws.gamma(steady) * (0.3 + 0.7 * sold.in_stock);
        for (weekday, share) in WEEKDAYS.into_iter().enumerate() {
            let day = lifecycle::Day(season::monday(sold.week as i32).0 + weekday as i32);
            for (is_cart, weekly) in [(false, views), (true, carts)] {
                let count = i64::from(draws.poisson(weekly * share / 7.0));
                if count > 0 {
                    rows.push(EventRow { day, is_cart, count });
                }
            }
        }
    }
    rows
}
