//! From what the TOML says to a mapping whose promises hold.

use std::path::Path;

use lifecycle::{Day, Frequency, Invalid};
use regex::Regex;

use super::{Filter, Mapping, ProductIds, Source, found, raw};
use crate::error::Error;
use crate::moments::{DateFormat, Zone};
use crate::rows::{
    EventPlan, FactColumns, KindNames, Layout, LinePlan, LongColumns, OfferPlan, PanelPlan, Plan,
    ProductPlan, SeriesColumns, StockPlan,
};
use crate::variables::Variables;

/// Checks everything that can be checked without opening the files.
pub(super) fn validated(
    path: &Path,
    raw: raw::Mapping,
    variables: &Variables,
) -> Result<Mapping, Error> {
    let of_mapping = |invalid| in_place(path, "the mapping", invalid);
    check_scalars(&raw).map_err(of_mapping)?;
    let mut mapping = Mapping {
        path: path.to_owned(),
        text: String::new(),
        zone: Zone::parse(&raw.time_zone).map_err(of_mapping)?,
        first_day: day("first_day", raw.first_day.as_deref()).map_err(of_mapping)?,
        last_day: day("last_day", raw.last_day.as_deref()).map_err(of_mapping)?,
        product_ids: product_ids(&raw.product_ids).map_err(of_mapping)?,
        name: raw.name,
        frequency: raw.frequency,
        units_per_one: raw.units_per_one,
        share_depth: raw.share_depth,
        horizon: raw.horizon,
        all_lives_ended: raw.all_lives_ended,
        limits: raw.limits,
        cancellations: raw.cancellations,
        sources: Vec::new(),
    };
    let frequency = mapping.frequency;
    let mut add = Adding { path, variables, sources: &mut mapping.sources };
    add.all("transactions", raw.transactions, |columns, rules, slots| {
        transactions(columns, rules, slots).map(Plan::Lines)
    })?;
    add.all("returns", raw.returns, |columns, _, slots| Ok(Plan::Lines(returns(columns, slots))))?;
    add.all("panel", raw.panel, |columns, rules, slots| {
        panel(columns, rules.covers.unwrap_or(frequency), slots).map(Plan::Panel)
    })?;
    add.all("events", raw.events, |columns, rules, slots| {
        events(columns, &rules, slots).map(Plan::Events)
    })?;
    add.all("stock", raw.stock, |columns, rules, slots| {
        stock(columns, rules.covers.unwrap_or(Frequency::Day), slots).map(Plan::Stock)
    })?;
    add.all("offers", raw.offers, |columns, rules, slots| {
        offers(columns, &rules, slots).map(Plan::Offers)
    })?;
    add.all("products", raw.products, |columns, _, slots| {
        Ok(Plan::Products(products(columns, slots)))
    })?;
    check_tables(&mapping).map_err(of_mapping)?;
    Ok(mapping)
}

fn in_place(path: &Path, place: &str, Invalid { field, reason }: Invalid) -> Error {
    let reason = format!("`{field}` {reason}");
    Error::Mapping { path: path.to_owned(), place: place.to_owned(), reason }
}

fn check_scalars(raw: &raw::Mapping) -> Result<(), Invalid> {
    let wrong = |field: &str, reason: &str| Err(Invalid::new(field, reason));
    if raw.name.trim().is_empty() {
        return wrong("name", "must not be empty");
    }
    if !(raw.units_per_one.is_finite() && raw.units_per_one > 0.0) {
        return wrong("units_per_one", "must be above 0");
    }
    if raw.horizon == Some(0) {
        return wrong("horizon", "must be at least 1 period");
    }
    if raw.cancellations.within_days < 0 {
        return wrong("cancellations.within_days", "must not be negative");
    }
    let limits = &raw.limits;
    if limits.price_above.is_nan()
        || limits
            .price_at_most
            .partial_cmp(&limits.price_above)
            .is_none_or(std::cmp::Ordering::is_le)
    {
        return wrong("limits.price_at_most", "must be above `price_above`");
    }
    if limits.units_at_most.is_nan() || limits.units_at_most <= 0.0 {
        return wrong("limits.units_at_most", "must be above 0");
    }
    Ok(())
}

fn check_tables(mapping: &Mapping) -> Result<(), Invalid> {
    let has = |is: fn(&Plan) -> bool| mapping.sources.iter().any(|source| is(&source.plan));
    let sells = has(|plan| matches!(plan, Plan::Lines(plan) if !plan.are_returns));
    let has_panel = has(|plan| matches!(plan, Plan::Panel(_)));
    if sells && has_panel {
        let reason = "and [[transactions]] both say what was sold; a data set has one of them";
        return Err(Invalid::new("[[panel]]", reason));
    }
    if !sells && !has_panel {
        let reason = "or [[panel]] must say what was sold";
        return Err(Invalid::new("[[transactions]]", reason));
    }
    if let (Some(first), Some(last)) = (mapping.first_day, mapping.last_day)
        && last < first
    {
        return Err(Invalid::new("last_day", "must not be before `first_day`"));
    }
    Ok(())
}

fn day(key: &str, text: Option<&str>) -> Result<Option<Day>, Invalid> {
    let parsed = text.map(str::parse::<Day>).transpose();
    parsed.map_err(|invalid| Invalid::new(key, invalid.reason))
}

fn product_ids(raw: &raw::ProductIds) -> Result<ProductIds, Invalid> {
    let all = |key: &str, patterns: &[String]| {
        patterns.iter().map(|text| pattern(key, text)).collect::<Result<Vec<_>, _>>()
    };
    Ok(ProductIds {
        trim: raw.trim,
        upper_case: raw.upper_case,
        include: all("product_ids.include", &raw.include)?,
        exclude: all("product_ids.exclude", &raw.exclude)?,
    })
}

fn pattern(key: &str, text: &str) -> Result<Regex, Invalid> {
    Regex::new(text).map_err(|error| {
        let why = error.to_string();
        let why = why.lines().last().unwrap_or_default().trim();
        Invalid::new(
            key,
            format!("has the pattern `{text}`, which is no regular expression: {why}"),
        )
    })
}

/// The wanted columns of a table, each once.
#[derive(Debug, Default)]
struct Slots {
    wanted: Vec<String>,
    secret: Option<usize>,
}

impl Slots {
    fn one(&mut self, column: String) -> usize {
        let known = self.wanted.iter().position(|wanted| *wanted == column);
        known.unwrap_or_else(|| {
            self.wanted.push(column);
            self.wanted.len() - 1
        })
    }

    fn maybe(&mut self, column: Option<String>) -> Option<usize> {
        column.map(|column| self.one(column))
    }

    fn many(&mut self, columns: Option<raw::OneOrMany>) -> Vec<usize> {
        let columns = columns.map(raw::OneOrMany::into_vec).unwrap_or_default();
        columns.into_iter().map(|column| self.one(column)).collect()
    }

    fn series(&mut self, product: String, location: Option<raw::OneOrMany>) -> SeriesColumns {
        SeriesColumns { product: self.one(product), location: self.many(location) }
    }

    fn filter(&mut self, key: &str, filter: raw::Filter) -> Result<Filter, Invalid> {
        let pattern = pattern(key, &filter.pattern)?;
        Ok(Filter { slot: self.one(filter.column), pattern })
    }

    fn customer(&mut self, column: Option<String>) -> Option<usize> {
        self.secret = self.maybe(column);
        self.secret
    }
}

/// Adds the tables of each kind to the mapping.
struct Adding<'a> {
    path: &'a Path,
    variables: &'a Variables,
    sources: &'a mut Vec<Source>,
}

impl Adding<'_> {
    fn all<C, R>(
        &mut self,
        kind: &str,
        tables: Vec<raw::Source<C, R>>,
        plan: impl Fn(C, R, &mut Slots) -> Result<Plan, Invalid>,
    ) -> Result<(), Error> {
        let n_tables = tables.len();
        for (position, table) in tables.into_iter().enumerate() {
            let name = match n_tables {
                1 => kind.to_owned(),
                _ => format!("{kind} {}", position + 1),
            };
            let files = found(self.path, &name, &table.path.clone().into_vec(), self.variables)?;
            let source = source(table, (name.clone(), files), &plan)
                .map_err(|invalid| in_place(self.path, &format!("[[{name}]]"), invalid))?;
            for file in &source.files {
                source.format_of(&file.path).map_err(|reason| Error::Mapping {
                    path: self.path.to_owned(),
                    place: format!("[[{name}]]"),
                    reason,
                })?;
            }
            self.sources.push(source);
        }
        Ok(())
    }
}

fn source<C, R>(
    raw: raw::Source<C, R>,
    (table, files): (String, Vec<crate::files::Found>),
    plan: impl Fn(C, R, &mut Slots) -> Result<Plan, Invalid>,
) -> Result<Source, Invalid> {
    let delimiter = raw.csv.delimiter.unwrap_or(',');
    if !delimiter.is_ascii() || ['"', '\n', '\r'].contains(&delimiter) {
        return Err(Invalid::new("csv.delimiter", "must be one ASCII character, and no quote"));
    }
    if Some(raw.csv.decimal) == raw.csv.thousands {
        return Err(Invalid::new("csv.thousands", "must differ from `decimal`"));
    }
    let raw::Dates { format, first, first_number } = raw.dates;
    let dates = DateFormat::parse(format.as_deref(), first.as_deref(), first_number)?;
    let mut slots = Slots::default();
    let plan = plan(raw.columns, raw.rules, &mut slots)?;
    let mut filters = |key: &str, filters: Vec<raw::Filter>| {
        filters.into_iter().map(|filter| slots.filter(key, filter)).collect::<Result<Vec<_>, _>>()
    };
    let (keep, drop) = (filters("keep", raw.keep)?, filters("drop", raw.drop)?);
    if let Some(empty) = slots.wanted.iter().find(|column| column.is_empty()) {
        return Err(Invalid::new(format!("columns {empty}"), "must not be empty"));
    }
    Ok(Source {
        table,
        files,
        format: raw.format,
        csv: raw.csv,
        missing: raw.missing,
        truths: [raw.yes, raw.no]
            .map(|words| words.iter().map(|word| word.trim().to_lowercase()).collect()),
        dates,
        keep,
        drop,
        wanted: slots.wanted,
        secret: slots.secret,
        plan,
    })
}

fn transactions(
    columns: raw::TransactionColumns,
    rules: raw::TransactionRules,
    slots: &mut Slots,
) -> Result<LinePlan, Invalid> {
    if columns.price.is_some() && columns.total.is_some() {
        return Err(Invalid::new("columns.total", "cannot be mapped beside `price`"));
    }
    if columns.discount.is_some() && columns.discount_amount.is_some() {
        return Err(Invalid::new("columns.discount_amount", "cannot be mapped beside `discount`"));
    }
    let usual = match columns.order {
        // Without an order's id, equal rows may well be two sales.
        None => raw::Duplicates::Keep,
        Some(_) => raw::Duplicates::Remove,
    };
    Ok(LinePlan {
        series: slots.series(columns.product, columns.location),
        date: slots.one(columns.date),
        quantity: slots.maybe(columns.quantity),
        price: slots.maybe(columns.price),
        total: slots.maybe(columns.total),
        discount: slots.maybe(columns.discount),
        discount_amount: slots.maybe(columns.discount_amount),
        order: slots.maybe(columns.order),
        customer: slots.customer(columns.customer),
        facts: FactColumns {
            category: slots.many(columns.category),
            brand: slots.maybe(columns.brand),
            title: slots.maybe(columns.title),
            launch: None,
            end: None,
        },
        cancelled: rules
            .cancelled
            .map(|filter| slots.filter("rules.cancelled", filter))
            .transpose()?,
        negative: rules.negative,
        are_returns: false,
        removes_duplicates: rules.duplicates.unwrap_or(usual) == raw::Duplicates::Remove,
    })
}

fn returns(columns: raw::ReturnColumns, slots: &mut Slots) -> LinePlan {
    LinePlan {
        series: slots.series(columns.product, columns.location),
        date: slots.one(columns.date),
        quantity: slots.maybe(columns.quantity),
        price: slots.maybe(columns.price),
        total: None,
        discount: None,
        discount_amount: None,
        order: slots.maybe(columns.order),
        customer: slots.customer(columns.customer),
        facts: FactColumns::default(),
        cancelled: None,
        negative: raw::Negative::Return,
        are_returns: true,
        removes_duplicates: false,
    }
}

fn events(
    columns: raw::EventColumns,
    rules: &raw::EventRules,
    slots: &mut Slots,
) -> Result<EventPlan, Invalid> {
    let counts = [columns.views, columns.carts, columns.wishes];
    if columns.kind.is_none() && counts.iter().all(Option::is_none) {
        return Err(Invalid::new("columns.kind", "or one of `views`, `carts`, `wishes` is needed"));
    }
    if columns.count.is_some() && columns.kind.is_none() {
        return Err(Invalid::new("columns.count", "needs `kind`"));
    }
    let mut names = KindNames::new();
    for (kind, list) in [(Some(0), &rules.view), (Some(1), &rules.cart), (Some(2), &rules.wish)]
        .into_iter()
        .chain([(None, &rules.ignore)])
    {
        names.extend(list.iter().map(|name| (name.trim().to_lowercase(), kind)));
    }
    Ok(EventPlan {
        series: slots.series(columns.product, columns.location),
        date: slots.one(columns.date),
        kind: slots.maybe(columns.kind).map(|slot| (slot, names)),
        count: slots.maybe(columns.count),
        counts: counts.map(|column| slots.maybe(column)),
    })
}

fn stock(
    columns: raw::StockColumns,
    covers: Frequency,
    slots: &mut Slots,
) -> Result<StockPlan, Invalid> {
    if columns.in_stock.is_some() == columns.level.is_some() {
        return Err(Invalid::new("columns.in_stock", "or `level` is needed, not both"));
    }
    Ok(StockPlan {
        series: slots.series(columns.product, columns.location),
        date: slots.one(columns.date),
        in_stock: slots.maybe(columns.in_stock),
        level: slots.maybe(columns.level),
        covers,
    })
}

fn offers(
    columns: raw::OfferColumns,
    rules: &raw::OfferRules,
    slots: &mut Slots,
) -> Result<OfferPlan, Invalid> {
    if columns.price.is_none() && columns.promotion.is_none() {
        return Err(Invalid::new("columns.price", "or `promotion` is needed"));
    }
    if rules.announced_days_before < 0 {
        return Err(Invalid::new("rules.announced_days_before", "must not be negative"));
    }
    Ok(OfferPlan {
        series: slots.series(columns.product, columns.location),
        date: slots.one(columns.date),
        announced: slots.maybe(columns.announced),
        announced_days_before: rules.announced_days_before,
        price: slots.maybe(columns.price),
        promotion: slots.maybe(columns.promotion),
        covers: rules.covers.unwrap_or(Frequency::Day),
    })
}

fn products(columns: raw::ProductColumns, slots: &mut Slots) -> ProductPlan {
    ProductPlan {
        product: slots.one(columns.product),
        facts: FactColumns {
            category: slots.many(columns.category),
            brand: slots.maybe(columns.brand),
            title: slots.maybe(columns.title),
            launch: slots.maybe(columns.launch),
            end: slots.maybe(columns.end),
        },
    }
}

fn panel(
    columns: raw::PanelColumns,
    covers: Frequency,
    slots: &mut Slots,
) -> Result<PanelPlan, Invalid> {
    check_layout(&columns)?;
    let layout = match (columns.periods, columns.series) {
        (Some(periods), _) => Layout::BySeries {
            series: slots.series(needed("product", columns.product)?, columns.location),
            pattern: pattern("columns.periods", &periods)?,
            periods: Vec::new(),
        },
        (None, Some(series)) => Layout::ByPeriod {
            date: slots.one(needed("date", columns.date)?),
            pattern: pattern("columns.series", &series)?,
            products: Vec::new(),
        },
        (None, None) => Layout::Long {
            series: slots.series(needed("product", columns.product)?, columns.location),
            date: slots.one(needed("date", columns.date)?),
            values: LongColumns {
                units: slots.one(needed("units", columns.units)?),
                in_stock: slots.maybe(columns.in_stock),
                price: slots.maybe(columns.price),
                promotion: slots.maybe(columns.promotion),
                stage: slots.maybe(columns.stage),
            },
        },
    };
    let facts = FactColumns {
        category: slots.many(columns.category),
        brand: slots.maybe(columns.brand),
        title: slots.maybe(columns.title),
        launch: None,
        end: None,
    };
    Ok(PanelPlan { layout, facts, covers })
}

/// A wide table holds units only, under the names of its columns.
fn check_layout(columns: &raw::PanelColumns) -> Result<(), Invalid> {
    let by_period = columns.series.is_some();
    if columns.periods.is_some() && by_period {
        let reason = "cannot be set beside `periods`: a table is wide one way";
        return Err(Invalid::new("columns.series", reason));
    }
    if columns.periods.is_none() && !by_period {
        return Ok(());
    }
    let long_only = [
        ("units", columns.units.is_some()),
        ("in_stock", columns.in_stock.is_some()),
        ("price", columns.price.is_some()),
        ("promotion", columns.promotion.is_some()),
        ("stage", columns.stage.is_some()),
        ("date", columns.date.is_some() && !by_period),
        ("product", columns.product.is_some() && by_period),
        ("location", columns.location.is_some() && by_period),
        ("category", columns.category.is_some() && by_period),
        ("brand", columns.brand.is_some() && by_period),
        ("title", columns.title.is_some() && by_period),
    ];
    match long_only.iter().find(|(_, is_set)| *is_set) {
        Some((key, _)) => {
            let field = format!("columns.{key}");
            Err(Invalid::new(field, "has no place in a table this wide"))
        }
        None => Ok(()),
    }
}

fn needed(key: &str, column: Option<String>) -> Result<String, Invalid> {
    column.ok_or_else(|| Invalid::new(format!("columns.{key}"), "is needed"))
}
