//! Price and promotion by period: what was paid, else what was announced, else the last price.

use std::collections::BTreeMap;

use super::{Grid, Mean, Offered, Sold, SoldKind, positive};

/// Mean price paid per unit and share of units sold at a discount, by period, from the lines that
/// were known when their period ended; NaN where there are none.
///
/// A line cancelled within its period counts for nothing, unless nothing else was sold.
pub(super) fn paid(grid: &Grid<'_>, sales: &[Sold]) -> (Vec<f32>, Vec<f32>) {
    let mut net = vec![(0.0, 0.0); grid.n_periods];
    let mut gross = vec![Mean::default(); grid.n_periods];
    let mut discounted = vec![Mean::default(); grid.n_periods];
    for sale in sales.iter().filter(|sale| sale.kind != SoldKind::Return) {
        let period = grid.period(sale.day);
        let Some(index) = grid.index(period) else { continue };
        if grid.period(sale.known) > period {
            continue;
        }
        if sale.price > 0.0 && sale.price.is_finite() {
            net[index].0 += sale.price * sale.units;
            net[index].1 += sale.units;
            if sale.kind == SoldKind::Sale {
                gross[index].add(sale.price, sale.units);
            }
        }
        if sale.kind == SoldKind::Sale && sale.discount.is_finite() {
            discounted[index].add(f64::from(u8::from(sale.discount > 0.0)), sale.units);
        }
    }
    let price = |(&(value, units), gross): (&(f64, f64), &Mean)| {
        if units > 0.0 && value > 0.0 { (value / units) as f32 } else { gross.value() }
    };
    let prices = net.iter().zip(&gross).map(price).map(positive).collect();
    (prices, discounted.iter().map(|mean| mean.value()).collect())
}

/// Fills missing prices with what was announced by the period, and takes promotions from there
/// where they are announced at all. Of two offers for a day the one announced later holds.
pub(super) fn fill_from_offers(
    grid: &Grid<'_>,
    offers: &[Offered],
    prices: &mut [f32],
    promotions: &mut [f32],
) {
    let mut offers: Vec<&Offered> = offers.iter().collect();
    offers.sort_by_key(|offer| (offer.known, offer.day));
    let mut by_period = BTreeMap::<usize, Vec<&Offered>>::new();
    for offer in offers {
        for (index, _) in grid.overlaps(offer.day, offer.n_days) {
            if grid.period(offer.known) <= grid.start.plus(index as i32) {
                by_period.entry(index).or_default().push(offer);
            }
        }
    }
    for (index, offers) in by_period {
        let (price, promotion) = means_over_days(grid, index, &offers);
        if prices[index].is_nan() {
            prices[index] = positive(price);
        }
        if promotion.is_finite() {
            promotions[index] = promotion.clamp(0.0, 1.0);
        }
    }
}

/// Mean price and promotion over the days of a period that an offer covers.
fn means_over_days(grid: &Grid<'_>, index: usize, offers: &[&Offered]) -> (f32, f32) {
    let period = grid.start.plus(index as i32);
    let frequency = grid.coverage.frequency;
    let (mut price, mut promotion) = (Mean::default(), Mean::default());
    for day in frequency.first_day(period).0..=frequency.last_day(period).0 {
        let holds = |offer: &&&Offered| {
            (offer.day.0..offer.day.0.saturating_add(offer.n_days.max(1))).contains(&day)
        };
        if let Some(offer) = offers.iter().rev().find(holds) {
            price.add(offer.price, 1.0);
            promotion.add(offer.promotion, 1.0);
        }
    }
    (price.value(), promotion.value())
}

/// A period without a price keeps the last one.
pub(super) fn carry_forward(prices: &mut [f32]) {
    let mut last = f32::NAN;
    for price in prices {
        if price.is_nan() {
            *price = last;
        }
        last = *price;
    }
}
