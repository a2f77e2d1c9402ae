//! Dated rows to histories: corrections, holes, returns and prices.

use proptest::prelude::*;

use super::*;

fn day(text: &str) -> Day {
    text.parse().expect("a date")
}

fn sold(on: Day, known: Day, units: f64) -> Sold {
    let kind = if units < 0.0 { SoldKind::Cancellation } else { SoldKind::Sale };
    Sold { day: on, known, kind, units, price: 2.0, discount: f64::NAN, order: None }
}

/// Four whole weeks from Monday 4 January 2010.
fn four_weeks() -> Coverage {
    Coverage::between(Frequency::Week, day("2010-01-01"), day("2010-02-02")).expect("weeks")
}

fn binned(coverage: &Coverage, rows: &DatedRows) -> History {
    let history = bin(coverage, Series::of("mug"), Statics::default(), rows).expect("a history");
    history.validate().expect("valid");
    history
}

/// Equal, NaN included.
fn same(left: &[f32], right: &[f32]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).all(|(l, r)| l == r || (l.is_nan() && r.is_nan()))
}

#[test]
fn only_whole_periods_count() {
    let coverage = four_weeks();
    assert_eq!(coverage.n_periods, 4);
    assert_eq!(Frequency::Week.first_day(coverage.start), day("2010-01-04"));
    let months = Coverage::between(Frequency::Month, day("1998-01-01"), day("1998-03-30"));
    assert_eq!(months.expect("months").n_periods, 2);
    assert_eq!(Coverage::between(Frequency::Week, day("2010-01-05"), day("2010-01-12")), None);
    let outside = [day("2010-01-02"), day("2010-02-01")].map(|on| sold(on, on, 9.0));
    let inside = [day("2010-01-10"), day("2010-01-20")].map(|on| sold(on, on, 1.0));
    let rows = DatedRows { sales: [outside, inside].concat(), ..DatedRows::default() };
    assert_eq!(binned(&coverage, &rows).channel(Channel::Units), [1.0, 0.0, 1.0, 0.0]);
}

#[test]
fn a_cancellation_is_taken_off_its_sale_and_remembered_until_it_was_known() {
    let on = day("2010-01-12");
    let sales = vec![
        sold(on, on, 100.0),
        sold(on, on, 3.0),
        sold(on, day("2010-01-15"), -2.0),
        sold(on, day("2010-01-26"), -100.0),
    ];
    let history = binned(&four_weeks(), &DatedRows { sales, ..DatedRows::default() });
    assert_eq!(history.channel(Channel::Units), [1.0, 0.0, 0.0]);
    let period = Frequency::Week.period_of(on);
    let correction = Correction { period, known: period.plus(2), change: -100.0 };
    assert_eq!(history.corrections, [correction]);
}

#[test]
fn units_do_not_fall_below_zero_on_the_way() {
    let on = day("2010-01-12");
    let sales = vec![
        sold(on, on, 5.0),
        sold(on, day("2010-01-19"), -9.0),
        sold(on, day("2010-01-26"), 2.0),
    ];
    let history = binned(&four_weeks(), &DatedRows { sales, ..DatedRows::default() });
    assert_eq!(history.channel(Channel::Units)[0], 2.0);
    let changes: Vec<f32> = history.corrections.iter().map(|it| it.change).collect();
    assert_eq!(changes, [-5.0, 2.0]);
}

#[test]
fn an_order_cancelled_within_its_week_never_was() {
    let on = day("2010-01-12");
    let line = |units| Sold { order: Some(7), ..sold(on, on, units) };
    let first =
        Sold { order: Some(1), price: 8.0, ..sold(day("2010-01-19"), day("2010-01-19"), 1.0) };
    let sales = vec![line(50.0), line(-50.0), first];
    let history = binned(&four_weeks(), &DatedRows { sales, ..DatedRows::default() });
    assert_eq!(history.start, Frequency::Week.period_of(day("2010-01-19")));
    assert_eq!(history.channel(Channel::Orders), [1.0, 0.0]);
    assert_eq!(history.channel(Channel::Price), [8.0, 8.0]);
}

#[test]
fn a_first_sale_that_was_booked_late_starts_no_life_before_it_was_known() {
    let sales = vec![
        sold(day("2010-01-05"), day("2010-01-20"), 3.0),
        sold(day("2010-01-26"), day("2010-01-26"), 4.0),
    ];
    let history = binned(&four_weeks(), &DatedRows { sales, ..DatedRows::default() });
    assert_eq!(history.start, Frequency::Week.period_of(day("2010-01-20")));
    assert_eq!(history.channel(Channel::Units), [0.0, 4.0]);
}

#[test]
fn returns_and_views_have_their_own_channels() {
    let mut coverage = four_weeks();
    coverage.watched = [coverage.start.plus(1), coverage.start.plus(2)].into();
    let on = day("2010-01-04");
    let back = Sold { kind: SoldKind::Return, ..sold(day("2010-01-27"), day("2010-01-27"), 4.0) };
    let events = vec![Watched { day: day("2010-01-12"), views: 9.0, carts: 2.0 }];
    let rows = DatedRows { sales: vec![sold(on, on, 5.0), back], events, ..DatedRows::default() };
    let history = binned(&coverage, &rows);
    assert_eq!(history.channel(Channel::Units), [5.0, 0.0, 0.0, 0.0]);
    assert_eq!(history.channel(Channel::Returns), [0.0, 0.0, 0.0, 4.0]);
    assert!(same(history.channel(Channel::Views), &[f32::NAN, 9.0, 0.0, f32::NAN]));
    assert!(history.corrections.is_empty());
}

#[test]
fn a_closed_week_is_unobserved_not_zero() {
    let mut coverage = four_weeks();
    coverage.closed = [coverage.start.plus(1)].into();
    let on = day("2010-01-04");
    let rows = DatedRows { sales: vec![sold(on, on, 5.0)], ..DatedRows::default() };
    let history = binned(&coverage, &rows);
    assert!(same(history.channel(Channel::Units), &[5.0, f32::NAN, 0.0, 0.0]));
    assert!(!history.is_observed(coverage.start.plus(1)));
}

#[test]
fn holes_of_a_ready_panel_stay_holes() {
    let months = Coverage::between(Frequency::Month, day("1998-01-01"), day("1998-05-31"));
    let mut coverage = months.expect("months");
    let cell = |on: &str, units| Given {
        day: day(on),
        units,
        in_stock: f32::NAN,
        price: f32::NAN,
        promotion: f32::NAN,
        stage: None,
    };
    let given =
        vec![cell("1998-01-01", 2.0), cell("1998-02-01", f64::NAN), cell("1998-04-01", 0.0)];
    let rows = DatedRows { given, ..DatedRows::default() };
    let nan = f32::NAN;
    let history = binned(&coverage, &rows);
    assert!(same(history.channel(Channel::Units), &[2.0, nan, nan, 0.0, nan]));
    assert!(history.channel(Channel::Price).is_empty());
    assert!(history.given_stage.is_empty());
    coverage.all_lives_ended = true;
    let history = binned(&coverage, &rows);
    assert!(same(history.channel(Channel::Units), &[2.0, nan, nan, 0.0, 0.0]));
}

#[test]
fn an_offer_counts_once_it_is_announced_and_the_later_announcement_holds() {
    let offer = |on: &str, known: &str, price| Offered {
        day: day(on),
        n_days: 14,
        known: day(known),
        price,
        promotion: 0.5,
    };
    let on = day("2010-01-04");
    let rows = DatedRows {
        sales: vec![sold(on, on, 5.0)],
        offers: vec![
            offer("2010-01-11", "2010-01-01", 3.0),
            offer("2010-01-11", "2010-01-20", 4.0),
            offer("2010-01-25", "2010-03-01", 9.0),
        ],
        ..DatedRows::default()
    };
    let history = binned(&four_weeks(), &rows);
    assert_eq!(history.channel(Channel::Price), [2.0, 3.0, 4.0, 4.0]);
    let nan = f32::NAN;
    assert!(same(history.channel(Channel::Promotion), &[nan, 0.5, 0.5, nan]));
}

#[test]
fn stock_is_the_mean_over_the_days_it_covers() {
    let on = day("2010-01-04");
    let stocked = |on: &str, n_days, in_stock| Stocked { day: day(on), n_days, in_stock };
    let rows = DatedRows {
        sales: vec![sold(on, on, 5.0)],
        stock: vec![
            stocked("2010-01-04", 7, 1.0),
            stocked("2010-01-11", 1, 1.0),
            stocked("2010-01-12", 8, 0.0),
        ],
        ..DatedRows::default()
    };
    let history = binned(&four_weeks(), &rows);
    let nan = f32::NAN;
    assert!(same(history.channel(Channel::InStock), &[1.0, 1.0 / 7.0, 0.0, nan]));
}

#[test]
fn a_launch_starts_the_life_before_the_first_sale() {
    let statics = Statics {
        launch: Some(Frequency::Week.period_of(day("2010-01-11"))),
        ..Statics::default()
    };
    let on = day("2010-01-25");
    let rows = DatedRows { sales: vec![sold(on, on, 5.0)], ..DatedRows::default() };
    let history = bin(&four_weeks(), Series::of("mug"), statics, &rows).expect("a history");
    assert_eq!(history.channel(Channel::Units), [0.0, 0.0, 5.0]);
    let late = DatedRows { sales: vec![sold(day("2010-02-01"), day("2010-02-01"), 1.0)], ..rows };
    assert_eq!(bin(&four_weeks(), Series::of("cup"), Statics::default(), &late), None);
}

proptest! {
    /// What was known at an origin does not depend on what became known after it, bit for bit.
    #[test]
    fn the_view_at_an_origin_ignores_later_corrections(
        units in prop::collection::vec(0.0..500.0_f64, 1..6),
        first in -900.0..900.0_f64,
        second in -900.0..900.0_f64,
    ) {
        let on = day("2010-01-12");
        let base: Vec<Sold> = units.iter().map(|units| sold(on, on, *units)).collect();
        let as_known = |change: f64| {
            let mut sales = base.clone();
            sales.push(sold(on, day("2010-01-26"), change));
            let history = bin(
                &four_weeks(), Series::of("mug"), Statics::default(),
                &DatedRows { sales, ..DatedRows::default() },
            );
            let history = history?;
            let later: f32 = history.corrections.iter().map(|it| it.change).sum();
            Some(history.value(Channel::Units, history.start) - later)
        };
        if units.iter().sum::<f64>() > 1.0 {
            prop_assert_eq!(as_known(first), as_known(second));
        }
    }
}
