//! Ready panels: long, wide, holes and finer periods.

use expect_test::{Expect, expect};
use tables::PanelRow;

use crate::shop::{Published, Shop};

fn rows(published: &Published) -> String {
    published
        .rows::<PanelRow>("panel")
        .into_iter()
        .map(|row| {
            let PanelRow { series, day, units, in_stock, price, promotion, stage } = row;
            format!("{series} {day} {units} {in_stock} {price} {promotion} {stage:?}\n")
        })
        .collect()
}

#[track_caller]
fn check(table: &str, file: &str, panel: Expect, refused: Expect) -> Published {
    let mapping =
        format!("name = \"p\"\nfrequency = \"month\"\n[[panel]]\npath = \"p.csv\"\n{table}");
    let published = Shop::new(&mapping).with("p.csv", file).ingest().expect("a data set");
    panel.assert_eq(&rows(&published));
    refused.assert_eq(&published.refused());
    published
}

#[test]
fn a_long_panel_keeps_its_holes() {
    let published = check(
        "columns = { product = \"id\", location = \"shop\", date = \"month\", units = \"units\", \
         in_stock = \"stock\", price = \"price\", promotion = \"promo\", stage = \"stage\" }",
        "id,shop,month,units,stock,price,promo,stage\n\
         a,x,1998-01,1.5,1,2.5,0,growth\n\
         a,x,1998-02,,0.5,0,1,Growth\n\
         a,x,1998-04,3,,,,\n\
         a,y,1998-01,-1,1,2.5,0,growth\n\
         a,y,1998-02,2,1.5,2.5,0,growth\n\
         a,y,1998-03,2,1,2.5,0,puberty\n\
         b,x,1998-05,0,1,2.5,0,\n",
        expect![[r#"
            a @ x 1998-01-01 1.5 1 2.5 0 Some("growth")
            a @ x 1998-02-01 NaN 0.5 NaN 1 Some("growth")
            a @ x 1998-04-01 3 NaN NaN NaN None
            b @ x 1998-05-01 0 1 2.5 0 None
        "#]],
        expect![[r#"
            p.csv 4: negative quantity [units=-1]
            p.csv 5: share outside 0 to 1 [stock=1.5]
            p.csv 6: unknown stage [stage=puberty]
        "#]],
    );
    assert_eq!(published.quality()["panel"]["missing"], 1);
    let dataset = published.dataset();
    assert_eq!(dataset.first_day.to_string(), "1998-01-01");
    assert_eq!(dataset.last_day.to_string(), "1998-05-31");
}

#[test]
fn a_wide_panel_has_a_column_a_period() {
    let published = check(
        "columns = { product = \"item\", category = [\"dept\"], periods = '^m(.*)$' }",
        "item,dept,m1998-01,m1998-02,m1998-03\na,Home,1,,3\nb,Home,x,-2,0\n,Home,1,2,3\n",
        expect![[r#"
            a 1998-01-01 1 NaN NaN NaN None
            a 1998-02-01 NaN NaN NaN NaN None
            a 1998-03-01 3 NaN NaN NaN None
            b 1998-03-01 0 NaN NaN NaN None
        "#]],
        expect![[r#"
            p.csv 2: negative quantity [m1998-02=-2]
            p.csv 2: number unreadable [m1998-01=x]
            p.csv 3: product missing [item=]
        "#]],
    );
    assert_eq!(published.products()[0].category, ["Home"]);
    assert_eq!(published.summary.rows_read, 4 + 2 + 1);
}

#[test]
fn its_transpose_has_a_column_a_series() {
    check(
        "columns = { date = \"month\", series = '^sku_(.*)' }",
        "month,sku_a,sku_b,note\n1998-01,1,,x\n1998-02,2,5,y\nlater,3,6,z\n",
        expect![[r#"
            a 1998-01-01 1 NaN NaN NaN None
            a 1998-02-01 2 NaN NaN NaN None
            b 1998-01-01 NaN NaN NaN NaN None
            b 1998-02-01 5 NaN NaN NaN None
        "#]],
        expect![[r#"
            p.csv 3: date unreadable [month=later]
        "#]],
    );
}

#[test]
fn counted_days_add_up_to_weeks() {
    // As in the M5 competition: d_1 is a Saturday.
    let header = (1..=16).map(|day| format!("d_{day}")).collect::<Vec<_>>().join(",");
    let units = (1..=16).map(|day| if day == 5 { String::new() } else { day.to_string() });
    let units = units.collect::<Vec<_>>().join(",");
    let mapping = "name = \"m5\"\nfrequency = \"week\"\n[[panel]]\npath = \"p.csv\"\n\
        dates = { format = \"day-number\", first = \"2011-01-29\", first_number = 1 }\n\
        columns = { product = \"id\", periods = '^d_([0-9]+)$' }\nrules = { covers = \"day\" }\n";
    let file = format!("id,{header}\na,{units}\n");
    let published = Shop::new(mapping).with("p.csv", file).ingest().expect("a data set");
    expect![[r#"
        a 2011-01-24 3 NaN NaN NaN None
        a 2011-01-31 NaN NaN NaN NaN None
        a 2011-02-07 91 NaN NaN NaN None
    "#]]
    .assert_eq(&rows(&published));
    let dataset = published.dataset();
    assert_eq!(dataset.first_day.to_string(), "2011-01-29");
    assert_eq!(dataset.last_day.to_string(), "2011-02-13");
}

#[test]
fn two_values_for_one_period_are_none() {
    check(
        "columns = { product = \"id\", date = \"month\", units = \"units\" }",
        "id,month,units\na,1998-01,1\na,1998-01,2\na,1998-02,3\na,1998-02,3\na,1998-03,4\na,1998-04,4\n",
        expect![[r#"
            a 1998-02-01 3 NaN NaN NaN None
            a 1998-03-01 4 NaN NaN NaN None
            a 1998-04-01 4 NaN NaN NaN None
        "#]],
        expect![[r#"
            p.csv 1: another value for the same time [=]
            p.csv 2: another value for the same time [=]
            p.csv 4: duplicate [=]
        "#]],
    );
}
