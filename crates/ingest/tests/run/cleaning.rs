//! What becomes of rows that are wrong, repeated or taken back.

use expect_test::{Expect, expect};
use tables::{EventCount, Half, Offer, Sale, SaleKind, Stock, ThinnedBy};

use crate::shop::{Published, Shop};

const ORDERS: &str = r#"
name = "shop"
frequency = "week"
first_day = "2010-01-01"
last_day = "2010-12-31"

[product_ids]
upper_case = true
include = ['^P']
exclude = ['^POST']

[limits]
price_at_most = 1000.0

[[transactions]]
path = "orders.csv"
columns = { product = "sku", date = "when", quantity = "n", price = "price", order = "order", customer = "who", title = "title" }
rules = { cancelled = { column = "order", pattern = "^C" } }
"#;

const HEADER: &str = "order,who,sku,when,n,price,title\n";

fn sales(published: &Published) -> String {
    published
        .rows::<Sale>("sales")
        .into_iter()
        .map(|sale| {
            let Sale { series, day, known, kind, units, price, .. } = sale;
            format!("{series} {day} {known} {kind:?} {units} {price}\n")
        })
        .collect()
}

#[track_caller]
fn check(rows: &str, sold: Expect, refused: Expect) -> Published {
    let shop = Shop::new(ORDERS).with("orders.csv", format!("{HEADER}{rows}"));
    let published = shop.ingest().expect("a data set");
    sold.assert_eq(&sales(&published));
    refused.assert_eq(&published.refused());
    published
}

#[test]
fn each_bad_row_is_refused_with_its_reason() {
    let good = "1,ann,P1,2010-03-01,2,9.5,Lamp\n".to_owned()
        + &(0..30).map(|n| format!("{n}x,bob,P2,2010-03-02,1,5,Cup\n")).collect::<String>();
    let bad = "2,ann,,2010-03-01,2,9.5,no product\n\
        3,ann,POSTAGE,2010-03-01,2,9.5,not a product\n\
        3,ann,X9,2010-03-01,2,9.5,not a product\n\
        4,ann,P1,,2,9.5,no date\n\
        5,ann,P1,soon,2,9.5,bad date\n\
        6,ann,P1,1870-03-01,2,9.5,too old\n\
        7,ann,P1,2009-12-31,2,9.5,too early\n\
        8,ann,P1,2011-01-01,2,9.5,too late\n\
        9,ann,P1,2010-03-01,,9.5,no quantity\n\
        10,ann,P1,2010-03-01,two,9.5,bad quantity\n\
        11,ann,P1,2010-03-01,0,9.5,zero\n\
        12,ann,P1,2010-03-01,2,0,free\n\
        13,ann,P1,2010-03-01,2,-3,negative price\n\
        14,ann,P1,2010-03-01,2,1000.5,absurd\n\
        15,ann,P1,2010-03-01,2\n\
        16,ann,P1,2010-03-01,2e10,1,many\n";
    let shop = Shop::new(ORDERS).with("orders.csv", format!("{HEADER}{good}{bad}"));
    let published = shop.ingest().expect("a data set");
    assert_eq!(published.rows::<Sale>("sales").len(), 31);
    expect![[r#"
        orders.csv 32: product missing [sku=]
        orders.csv 33: not a product [sku=POSTAGE]
        orders.csv 34: not a product [sku=X9]
        orders.csv 35: date missing [when=]
        orders.csv 36: date unreadable [when=soon]
        orders.csv 37: date before 1900 [when=1870-03-01]
        orders.csv 38: before the first day [when=2009-12-31]
        orders.csv 39: after the last day [when=2011-01-01]
        orders.csv 40: quantity missing [n=]
        orders.csv 41: number unreadable [n=two]
        orders.csv 42: quantity of zero [n=0]
        orders.csv 43: price too low [price=0]
        orders.csv 44: price too low [price=-3]
        orders.csv 45: price too high [price=1000.5]
        orders.csv 46: wrong number of fields [=]
        orders.csv 47: units above the limit [n=2e10]
    "#]]
    .assert_eq(&published.refused());
    let quality = published.quality();
    let refused = quality["refused"].as_array().expect("a list");
    let rows: u64 = refused.iter().filter_map(|reason| reason["rows"].as_u64()).sum();
    assert_eq!(rows, 16);
    assert_eq!(quality["rows"]["read"], 47);
    assert_eq!(quality["rows"]["kept"], 31);
    assert_eq!(quality["units"]["refused"], 2e10 + 2.0 * 11.0);
}

#[test]
fn a_row_with_several_faults_is_refused_once_and_counted_for_each() {
    let rows = "1,ann,P1,2010-03-01,2,9.5,Lamp\n2,ann,POST,2011-03-01,0,-1,all wrong\n";
    let shop = Shop::new(ORDERS).with("orders.csv", format!("{HEADER}{rows}"));
    let quality = shop.ingest().expect("a data set").quality();
    let refused = quality["refused"].as_array().expect("a list");
    let counts: Vec<_> = refused
        .iter()
        .map(|reason| format!("{} {} {}", reason["reason"], reason["rows"], reason["found"]))
        .collect();
    expect![[r#"
        "not a product" 1 1
        "after the last day" 0 1
        "quantity of zero" 0 1
        "price too low" 0 1"#]]
    .assert_eq(&counts.join("\n"));
}

#[test]
fn a_cancellation_removes_its_sale_and_is_dated_when_it_was_known() {
    // As order 541431 of Online Retail II: 74,215 units, cancelled 16 minutes later.
    let published = check(
        "541431,12346,P23166,2010-01-18 10:01:00,74215,1.04,Jar\n\
         C541433,12346,P23166,2010-01-18 10:17:00,-74215,1.04,Jar\n\
         541500,ann,P23166,2010-01-19 10:00:00,3,1.04,Jar\n\
         541501,bob,P23166,2010-01-31 10:00:00,4,1.25,Jar\n\
         C541502,bob,P23166,2010-02-05 10:00:00,-4,1.25,Jar\n",
        expect![[r#"
            P23166 2010-01-18 2010-01-18 Sale 74215 1.04
            P23166 2010-01-18 2010-01-18 Cancellation -74215 1.04
            P23166 2010-01-19 2010-01-19 Sale 3 1.04
            P23166 2010-01-31 2010-01-31 Sale 4 1.25
            P23166 2010-01-31 2010-02-05 Cancellation -4 1.25
        "#]],
        expect![[r#""#]],
    );
    let quality = published.quality();
    assert_eq!(quality["cancellations"]["matched"], 2);
    assert_eq!(quality["units"]["sold"], 74_222.0);
    assert_eq!(quality["units"]["cancelled"], 74_219.0);
}

#[test]
fn what_cancels_nothing_is_a_return_on_its_own_day() {
    check(
        "1,ann,P1,2010-03-01,5,2,Lamp\n\
         C2,ann,P1,2010-03-09,-5,2,Lamp\n\
         3,bob,P1,2010-03-10,-1,2,Lamp\n\
         4,,P1,2010-03-10,7,2,Lamp\n\
         C5,,P1,2010-03-10,-7,2,Lamp\n",
        expect![[r#"
            P1 2010-03-01 2010-03-01 Sale 5 2
            P1 2010-03-09 2010-03-09 Return 5 2
            P1 2010-03-10 2010-03-10 Sale 7 2
            P1 2010-03-10 2010-03-10 Return 1 2
            P1 2010-03-10 2010-03-10 Return 7 2
        "#]],
        expect![[r#""#]],
    );
}

#[test]
fn equal_rows_are_one_where_orders_have_ids() {
    check(
        "1,ann,P1,2010-03-01 09:00,5,2,Lamp\n\
         1,ann,P1,2010-03-01 09:00,5,2,Lamp\n\
         1,ann,p1 ,2010-03-01 09:00:00,5.0,2.00,Lamp\n\
         1,ann,P1,2010-03-01 09:00,5,2,Light\n\
         1,ann,P1,2010-03-01 09:01,5,2,Lamp\n",
        expect![[r#"
            P1 2010-03-01 2010-03-01 Sale 5 2
            P1 2010-03-01 2010-03-01 Sale 5 2
            P1 2010-03-01 2010-03-01 Sale 5 2
        "#]],
        expect![[r#"
            orders.csv 2: duplicate [=]
            orders.csv 3: duplicate [=]
        "#]],
    );
    let keep = ORDERS.replace("rules = {", r#"rules = { duplicates = "keep","#);
    let rows = "1,ann,P1,2010-03-01,5,2,Lamp\n".repeat(3);
    let shop = Shop::new(&keep).with("orders.csv", format!("{HEADER}{rows}"));
    assert_eq!(shop.ingest().expect("a data set").rows::<Sale>("sales").len(), 3);
}

#[test]
fn customers_are_known_by_keyed_hashes_only() {
    let rows = "1,secret-ann,P1,2010-03-01,5,2,Lamp\n\
        2,secret-ann,P1,2010-03-02,5,2,Lamp\n\
        3,secret-bob,P1,2010-03-03,0,2,Lamp\n\
        4,secret-bob,P1,2010-03-03\n\
        5,,P1,2010-03-04,1,2,Lamp\n";
    let mapping = ORDERS.replace(
        "path = \"orders.csv\"",
        "path = \"orders.csv\"\ndrop = [{ column = \"who\", pattern = \"nobody\" }]",
    );
    let shop = Shop::new(&mapping).with("orders.csv", format!("{HEADER}{rows}"));
    let published = shop.ingest().expect("a data set");
    let sales: Vec<Sale> = published.rows("sales");
    assert_eq!(sales[0].customer, sales[1].customer);
    assert!(sales[0].customer.is_some() && sales[2].customer.is_none());
    assert!(sales[0].order.is_some() && sales[0].order != sales[1].order);
    for (file, bytes) in published.bytes() {
        let has_id = bytes.windows(6).any(|window| window == b"secret");
        assert!(!has_id, "{file} names a customer");
    }
    assert!(!published.refused().contains("secret"));
}

const EVERYTHING: &str = r#"
name = "shop"
frequency = "week"
time_zone = "+01:00"
share_depth = 1

[[transactions]]
path = "orders.csv"
keep = [{ column = "type", pattern = "^buy$" }]
columns = { product = "sku", location = ["country", "store"], date = "when", quantity = "n", total = "paid", discount_amount = "off" }

[[returns]]
path = "returns.csv"
columns = { product = "sku", location = ["country", "store"], date = "when", quantity = "n" }

[[events]]
path = "events-*.csv"
columns = { product = "sku", date = "when", kind = "type", count = "n" }
rules = { ignore = ["hover"] }

[[stock]]
path = "stock.csv"
columns = { product = "sku", date = "when", level = "left" }

[[offers]]
path = "offers.csv"
columns = { product = "sku", date = "month", price = "price", promotion = "promoted" }
rules = { covers = "month", announced_days_before = 10 }

[[products]]
path = "products.csv"
columns = { product = "sku", category = ["department", "class"], brand = "brand", title = "title", launch = "from", end = "to" }
"#;

fn everything() -> Published {
    Shop::new(EVERYTHING)
        .with(
            "orders.csv",
            "type,sku,country,store,when,n,paid,off\n\
            buy,a,UK,1/2,2010-03-01T23:30:00Z,4,18,2\n\
            buy,a,UK,,2010-03-02,1,5,\n\
            look,a,UK,1,2010-03-02,1,5,\n\
            buy,b,,,2010-03-03,2,5,0\n",
        )
        .with("returns.csv", "sku,country,store,when,n\na,UK,1/2,2010-03-20,1\n")
        .with("events-1.csv", "sku,when,type,n\na,2010-03-01,view,5\na,2010-03-01,Cart,1\n")
        .with(
            "events-2.csv",
            "sku,when,type,n\na,2010-03-01,view,2\na,2010-03-01,hover,9\n\
            b,2010-03-02,dance,1\nb,2010-03-02,wish,1\n",
        )
        .with(
            "stock.csv",
            "sku,when,left\na,2010-03-01,0\na,2010-03-02,7\na,2010-03-02,7\n\
            b,2010-03-01,1\nb,2010-03-01,0\n",
        )
        .with("offers.csv", "sku,month,price,promoted\na,2010-04,4.5,yes\n")
        .with(
            "products.csv",
            "sku,department,class,brand,title,from,to\n\
            a,Home,Lamps,Bright,Lamp,2010-02-01,\n\
            b,Home,,,,,\n\
            c,Garden,Tools,,Spade,2010-02-01,2010-01-01\n\
            d,Garden,Tools,,Rake,2010-02-01,2010-03-01\n",
        )
        .ingest()
        .expect("a data set")
}

#[test]
fn every_kind_of_table_is_read() {
    let published = everything();
    let mut text = sales(&published);
    for EventCount { series, day, views, carts, wishes } in published.rows("events") {
        text += &format!("event {series} {day} {views} {carts} {wishes}\n");
    }
    for Stock { series, day, n_days, in_stock } in published.rows("stock") {
        text += &format!("stock {series} {day} {n_days} {in_stock}\n");
    }
    for Offer { series, day, n_days, known, price, promotion } in published.rows("offers") {
        text += &format!("offer {series} {day} {n_days} {known} {price} {promotion}\n");
    }
    for product in published.products() {
        text += &format!(
            "{} {:?} {:?} {:?} {:?} {:?}\n",
            product.product,
            product.category,
            product.brand,
            product.title,
            product.launch.map(|day| day.to_string()),
            product.end.map(|day| day.to_string()),
        );
    }
    expect![[r#"
        a @ UK/ 2010-03-02 2010-03-02 Sale 1 5
        a @ UK/1\/2 2010-03-02 2010-03-02 Sale 4 4.5
        a @ UK/1\/2 2010-03-20 2010-03-20 Return 1 NaN
        b 2010-03-03 2010-03-03 Sale 2 2.5
        event a 2010-03-01 7 1 0
        event b 2010-03-02 0 0 1
        stock a 2010-03-01 1 0
        stock a 2010-03-02 1 1
        offer a 2010-04-01 30 2010-03-22 4.5 1
        a ["Home", "Lamps"] Some("Bright") Some("Lamp") Some("2010-02-01") None
        b ["Home"] None None None None
        d ["Garden", "Tools"] None Some("Rake") Some("2010-02-01") Some("2010-03-01")
    "#]]
    .assert_eq(&text);
    expect![[r#"
        events-2.csv 3: unknown kind of event [type=dance]
        products.csv 3: ends before its launch [to=2010-01-01]
        stock.csv 3: duplicate [=]
        stock.csv 4: another value for the same time [=]
        stock.csv 5: another value for the same time [=]
    "#]]
    .assert_eq(&published.refused());
    assert_eq!(published.rows::<Sale>("sales")[1].discount, 0.1);
    let dataset = published.dataset();
    assert_eq!((dataset.share_depth, dataset.horizon), (1, None));
}

#[test]
fn the_title_said_most_often_wins() {
    let rows = "1,ann,P1,2010-03-01,5,2,Lamp\n\
        2,ann,P1,2010-03-02,5,2,LAMP\n\
        3,ann,P1,2010-03-02,5,2,LAMP\n\
        4,ann,P1,2010-03-02,0,2,damaged\n\
        5,ann,P1,2010-03-02,0,2,damaged\n\
        6,ann,P1,2010-03-02,0,2,damaged\n";
    let shop = Shop::new(ORDERS).with("orders.csv", format!("{HEADER}{rows}"));
    let products = shop.ingest().expect("a data set").products();
    assert_eq!(products[0].title.as_deref(), Some("LAMP"));
}

#[test]
fn quarantine_is_bounded_and_counts_are_complete() {
    let bad = (0..50).map(|n| format!("{n},ann,P1,2010-03-01,0,2,x\n")).collect::<String>();
    let rows = format!("{HEADER}1,ann,P1,2010-03-01,5,2,Lamp\n{bad}");
    let mut shop = Shop::new(ORDERS).with("orders.csv", rows);
    shop.config.quarantine_rows_max = 7;
    let published = shop.ingest().expect("a data set");
    assert_eq!(published.quarantine().len(), 7);
    assert_eq!(published.summary.rows_refused, 50);
}

#[test]
fn spikes_and_empty_weeks_are_reported_and_nothing_is_changed() {
    let mut rows = String::from(HEADER);
    for week in (0..20).filter(|week| *week != 10) {
        let day = lifecycle::Day(14_700 + 7 * week);
        let units = if week == 5 { 900 } else { 5 + week % 3 };
        rows += &format!("{week},ann,P1,{day},{units},2,Lamp\n");
    }
    let shop = Shop::new(ORDERS).with("orders.csv", rows);
    let published = shop.ingest().expect("a data set");
    let quality = published.quality();
    assert_eq!(quality["spikes"]["count"], 1);
    assert_eq!(quality["spikes"]["largest"][0]["units"], 900.0);
    assert_eq!(quality["periods_without_rows"]["count"], 1);
    assert_eq!(published.rows::<Sale>("sales").len(), 19);
}

#[test]
fn a_cancellation_goes_to_the_half_of_its_buyer() {
    // A cancelled order has a number of its own, and some buyers are unknown.
    let rows: String = (0..40)
        .map(|n| {
            let who = if n % 4 == 0 { String::new() } else { format!("buyer {n}") };
            format!("{n},{who},P1,2010-03-0{},{},5,Cup\n", 1 + n % 4, 1 + n)
                + &format!("C{n},{who},P1,2010-03-06,{},5,Cup\n", -1 - n)
        })
        .collect();
    let shop = Shop::new(ORDERS).with("orders.csv", format!("{HEADER}{rows}"));
    let published = shop.ingest().expect("a data set");
    assert_eq!(published.dataset().thinned_by, Some(ThinnedBy::Buyer));
    let sales: Vec<Sale> = published.rows("sales");
    let of_kind = |kind| sales.iter().filter(move |sale| sale.kind == kind);
    assert_eq!(of_kind(SaleKind::Cancellation).count(), 30);
    for undone in of_kind(SaleKind::Cancellation) {
        let sale = of_kind(SaleKind::Sale).find(|sale| sale.units == -undone.units);
        assert_eq!(sale.expect("what was sold").half(), undone.half());
    }
    let n_first = of_kind(SaleKind::Sale).filter(|sale| sale.half() == Half::First).count();
    assert!((10..=30).contains(&n_first), "{n_first}");
}

#[test]
fn sales_are_cut_in_halves_by_what_the_mapping_names() {
    let thinned_by = |mapping: &str| {
        let shop = Shop::new(mapping)
            .with("orders.csv", format!("{HEADER}1,ann,P1,2010-03-01,2,9.5,Lamp\n"));
        shop.ingest().expect("a data set").dataset().thinned_by
    };
    let no_buyer = ORDERS.replace(", customer = \"who\"", "");
    let neither = no_buyer.replace("order = \"order\", ", "");
    assert_eq!(thinned_by(ORDERS), Some(ThinnedBy::Buyer));
    assert_eq!(thinned_by(&no_buyer), Some(ThinnedBy::Order));
    assert_eq!(thinned_by(&neither), None);
}
