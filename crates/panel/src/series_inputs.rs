//! Computes the inputs by period: [`crate::CONTEXT_INPUTS`] and [`crate::HORIZON_INPUTS`].

use crate::calendar::{Calendar, Marks};
use crate::view::View;
use crate::{CONTEXT_INPUTS, Channel, HORIZON_INPUTS, Plan};

/// No input by period is further from 0.
const VALUE_MAX: f64 = 10.0;

/// A value of a channel, relative to what is usual: 0 with a mask of 0 where unknown.
#[derive(Debug, Clone, Copy)]
struct Relative<'a> {
    values: &'a [f32],
    usual: f64,
}

impl<'a> Relative<'a> {
    fn new(view: &View<'a>, channel: Channel) -> Self {
        let usual = view.channel_mean(channel, 0, view.weeks(52)).unwrap_or(0.0);
        Self { values: view.channel(channel), usual }
    }

    fn known(&self, index: usize) -> Option<f64> {
        self.values.get(index).filter(|value| value.is_finite()).map(|value| f64::from(*value))
    }

    /// `[asinh(value / usual), mask]`.
    fn counted(&self, index: usize) -> [f64; 2] {
        let scaled = |value: f64| if self.usual > 0.0 { (value / self.usual).asinh() } else { 0.0 };
        self.known(index).map_or([0.0, 0.0], |value| [scaled(value), 1.0])
    }

    /// `[ln(value / usual), mask]`.
    fn priced(&self, price: Option<f64>) -> [f64; 2] {
        let known = price.filter(|price| *price > 0.0 && self.usual > 0.0);
        known.map_or([0.0, 0.0], |price| [(price / self.usual).ln(), 1.0])
    }

    /// `[value, mask]`.
    fn plain(&self, index: usize) -> [f64; 2] {
        self.known(index).map_or([0.0, 0.0], |value| [value, 1.0])
    }
}

/// The context at the view's origin; `scale` in multiples of one unit. Shape
/// `[n_context, CONTEXT_INPUTS.len()]`.
pub(crate) fn context(
    view: &View<'_>,
    calendar: &Calendar,
    n_context: usize,
    scale: f64,
    (age, units_per_one): (u32, f64),
) -> Vec<f32> {
    let n_inputs = CONTEXT_INPUTS.len();
    let mut context = vec![0.0; n_context * n_inputs];
    let n_known = n_context.min(view.n_periods());
    let rows = context.chunks_exact_mut(n_inputs).skip(n_context - n_known);
    let year = view.window(0, view.weeks(52));
    let share_usual = if year.category > 0.0 { year.units / year.category } else { 0.0 };
    let category_usual =
        view.category_mean(0, view.weeks(52).min(view.category.len())).unwrap_or(0.0);
    let relative = |channel| Relative::new(view, channel);
    let (in_stock, price) = (relative(Channel::InStock), relative(Channel::Price));
    let (promotion, orders) = (relative(Channel::Promotion), relative(Channel::Orders));
    let (views, carts) = (relative(Channel::Views), relative(Channel::Carts));
    let returns = Relative { usual: scale * units_per_one, ..relative(Channel::Returns) };
    for (row, index) in rows.zip(view.n_periods() - n_known..) {
        let units = view.units[index];
        let is_observed = units.is_finite();
        let units = if is_observed { units } else { 0.0 };
        let category = view.category_at(index as i32);
        let share = if category > 0.0 && share_usual > 0.0 {
            (units / category / share_usual).asinh()
        } else {
            0.0
        };
        let in_category = if category > 0.0 && category_usual > 0.0 {
            (category / category_usual).ln()
        } else {
            0.0
        };
        let Marks { year, week, season } = calendar.at(view.history.start.plus(index as i32));
        let periods_ago = (view.n_periods() - 1 - index) as f64;
        let weeks = (f64::from(age) - periods_ago).max(0.0) * view.frequency.weeks_per_period();
        let values = [
            &[(units / scale).asinh(), f64::from(u8::from(is_observed)), 1.0][..],
            &in_stock.plain(index),
            &price.priced(price.known(index)),
            &promotion.plain(index),
            &[share, in_category],
            &orders.counted(index),
            &returns.counted(index)[..1],
            &views.counted(index),
            &carts.counted(index),
            &year,
            &[season.ln()],
            &week,
            &[weeks.ln_1p() / 5.0],
        ];
        fill(row, &values);
    }
    context
}

/// What is known in advance; `expected` is the filter's, in multiples of one unit as `scale`. Shape
/// `[n_horizon, HORIZON_INPUTS.len()]`.
pub(crate) fn horizon(
    view: &View<'_>,
    calendar: &Calendar,
    n_horizon: usize,
    (expected, scale): (&[f64], f64),
    plan: Option<&Plan>,
) -> Vec<f32> {
    let n_inputs = HORIZON_INPUTS.len();
    let mut horizon = vec![0.0; n_horizon * n_inputs];
    let price = Relative::new(view, Channel::Price);
    let year = view.weeks(52);
    let planned = |values: Option<&Vec<f32>>, ahead: usize| {
        values.and_then(|values| values.get(ahead)).filter(|v| v.is_finite()).map(|v| f64::from(*v))
    };
    for (ahead, row) in horizon.chunks_exact_mut(n_inputs).enumerate() {
        let Marks { year: cycle, week, season } = calendar.at(view.origin.plus(ahead as i32 + 1));
        let promotion = planned(plan.map(|plan| &plan.promotions), ahead);
        let year_ago = (view.n_periods() + ahead)
            .checked_sub(year)
            .and_then(|index| view.units.get(index))
            .filter(|units| units.is_finite());
        let values = [
            &cycle[..],
            &[season.ln()],
            &week,
            &price.priced(planned(plan.map(|plan| &plan.prices), ahead)),
            &promotion.map_or([0.0, 0.0], |share| [share, 1.0]),
            &[(expected[ahead] / scale).asinh()],
            &year_ago.map_or([0.0, 0.0], |units| [(units / scale).asinh(), 1.0]),
        ];
        fill(row, &values);
    }
    horizon
}

fn fill(row: &mut [f32], groups: &[&[f64]]) {
    let values = groups.iter().flat_map(|group| group.iter());
    for (cell, value) in row.iter_mut().zip(values) {
        *cell = value.clamp(-VALUE_MAX, VALUE_MAX) as f32;
    }
    debug_assert_eq!(row.len(), groups.iter().map(|group| group.len()).sum::<usize>());
}
