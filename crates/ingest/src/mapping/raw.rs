//! What the TOML of a mapping says, key by key.

use serde::Deserialize;

use crate::scan::Dialect;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mapping {
    pub(crate) name: String,
    pub(crate) frequency: lifecycle::Frequency,
    #[serde(default = "utc")]
    pub(crate) time_zone: String,
    #[serde(default = "one")]
    pub(crate) units_per_one: f64,
    #[serde(default)]
    pub(crate) share_depth: usize,
    pub(crate) horizon: Option<usize>,
    #[serde(default)]
    pub(crate) all_lives_ended: bool,
    pub(crate) first_day: Option<String>,
    pub(crate) last_day: Option<String>,
    #[serde(default)]
    pub(crate) product_ids: ProductIds,
    #[serde(default)]
    pub(crate) limits: Limits,
    #[serde(default)]
    pub(crate) cancellations: Cancellations,
    #[serde(default)]
    pub(crate) transactions: Vec<Source<TransactionColumns, TransactionRules>>,
    #[serde(default)]
    pub(crate) returns: Vec<Source<ReturnColumns, NoRules>>,
    #[serde(default)]
    pub(crate) events: Vec<Source<EventColumns, EventRules>>,
    #[serde(default)]
    pub(crate) stock: Vec<Source<StockColumns, SpanRules>>,
    #[serde(default)]
    pub(crate) offers: Vec<Source<OfferColumns, OfferRules>>,
    #[serde(default)]
    pub(crate) products: Vec<Source<ProductColumns, NoRules>>,
    #[serde(default)]
    pub(crate) panel: Vec<Source<PanelColumns, PanelRules>>,
}

fn utc() -> String {
    "UTC".to_owned()
}

fn yes() -> Vec<String> {
    ["true", "yes", "y", "t"].map(str::to_owned).to_vec()
}

fn no() -> Vec<String> {
    ["false", "no", "n", "f"].map(str::to_owned).to_vec()
}

fn one() -> f64 {
    1.0
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProductIds {
    pub(crate) trim: bool,
    pub(crate) upper_case: bool,
    pub(crate) include: Vec<String>,
    pub(crate) exclude: Vec<String>,
}

impl Default for ProductIds {
    fn default() -> Self {
        Self { trim: true, upper_case: false, include: Vec::new(), exclude: Vec::new() }
    }
}

/// What a row may hold at most.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// A price must be above.
    pub(crate) price_above: f64,
    /// And at most.
    pub(crate) price_at_most: f64,
    /// Units of one row, either sign.
    pub(crate) units_at_most: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { price_above: 0.0, price_at_most: 1e7, units_at_most: 1e9 }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Cancellations {
    pub(crate) within_days: i32,
    pub(crate) match_by: Option<MatchBy>,
}

impl Default for Cancellations {
    fn default() -> Self {
        Self { within_days: 7, match_by: None }
    }
}

/// Which id a cancellation shares with its sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MatchBy {
    Customer,
    Order,
}

/// One table of files: columns `C` and rules `R` by kind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, bound = "C: Deserialize<'de>, R: Deserialize<'de> + Default")]
pub(crate) struct Source<C, R> {
    pub(crate) path: OneOrMany,
    pub(crate) format: Option<FormatName>,
    #[serde(default)]
    pub(crate) csv: Csv,
    pub(crate) missing: Option<Vec<String>>,
    #[serde(default = "yes")]
    pub(crate) yes: Vec<String>,
    #[serde(default = "no")]
    pub(crate) no: Vec<String>,
    #[serde(default)]
    pub(crate) dates: Dates,
    #[serde(default)]
    pub(crate) keep: Vec<Filter>,
    #[serde(default)]
    pub(crate) drop: Vec<Filter>,
    pub(crate) columns: C,
    #[serde(default)]
    pub(crate) rules: R,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "must be a text or a list of texts")]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(crate) fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FormatName {
    Csv,
    Parquet,
    Ndjson,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Csv {
    pub(crate) delimiter: Option<char>,
    pub(crate) header: bool,
    pub(crate) decimal: char,
    pub(crate) thousands: Option<char>,
    pub(crate) encoding: Encoding,
}

impl Default for Csv {
    fn default() -> Self {
        Self {
            delimiter: None,
            header: true,
            decimal: '.',
            thousands: None,
            encoding: Encoding::Utf8,
        }
    }
}

impl Csv {
    pub(crate) fn dialect(&self, is_tsv: bool) -> Dialect {
        let usual = if is_tsv { '\t' } else { ',' };
        Dialect {
            delimiter: self.delimiter.unwrap_or(usual) as u8,
            header: self.header,
            latin: self.encoding == Encoding::Latin1,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Encoding {
    #[serde(rename = "utf-8")]
    Utf8,
    #[serde(rename = "latin-1", alias = "windows-1252")]
    Latin1,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Dates {
    pub(crate) format: Option<String>,
    /// The day that a counted format's first number stands for.
    pub(crate) first: Option<String>,
    /// That number.
    pub(crate) first_number: i64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    pub(crate) column: String,
    pub(crate) pattern: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoRules {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransactionColumns {
    pub(crate) product: String,
    pub(crate) location: Option<OneOrMany>,
    pub(crate) date: String,
    pub(crate) quantity: Option<String>,
    pub(crate) price: Option<String>,
    pub(crate) total: Option<String>,
    pub(crate) discount: Option<String>,
    pub(crate) discount_amount: Option<String>,
    pub(crate) order: Option<String>,
    pub(crate) customer: Option<String>,
    pub(crate) category: Option<OneOrMany>,
    pub(crate) brand: Option<String>,
    pub(crate) title: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TransactionRules {
    pub(crate) duplicates: Option<Duplicates>,
    pub(crate) cancelled: Option<Filter>,
    pub(crate) negative: Negative,
}

/// What becomes of a row that is equal to another in all mapped columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Duplicates {
    Remove,
    Keep,
}

/// What a negative quantity means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Negative {
    #[default]
    Cancellation,
    Return,
    Refuse,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReturnColumns {
    pub(crate) product: String,
    pub(crate) location: Option<OneOrMany>,
    pub(crate) date: String,
    pub(crate) quantity: Option<String>,
    pub(crate) price: Option<String>,
    pub(crate) order: Option<String>,
    pub(crate) customer: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventColumns {
    pub(crate) product: String,
    pub(crate) location: Option<OneOrMany>,
    pub(crate) date: String,
    pub(crate) kind: Option<String>,
    pub(crate) count: Option<String>,
    pub(crate) views: Option<String>,
    pub(crate) carts: Option<String>,
    pub(crate) wishes: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EventRules {
    pub(crate) view: Vec<String>,
    pub(crate) cart: Vec<String>,
    pub(crate) wish: Vec<String>,
    pub(crate) ignore: Vec<String>,
}

impl Default for EventRules {
    fn default() -> Self {
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            view: list(&["view", "page_view", "product_view"]),
            cart: list(&["cart", "add_to_cart", "addtocart"]),
            wish: list(&["wish", "wishlist", "add_to_wishlist"]),
            ignore: Vec::new(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StockColumns {
    pub(crate) product: String,
    pub(crate) location: Option<OneOrMany>,
    pub(crate) date: String,
    pub(crate) in_stock: Option<String>,
    pub(crate) level: Option<String>,
}

/// How long a row holds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SpanRules {
    pub(crate) covers: Option<lifecycle::Frequency>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfferColumns {
    pub(crate) product: String,
    pub(crate) location: Option<OneOrMany>,
    pub(crate) date: String,
    pub(crate) announced: Option<String>,
    pub(crate) price: Option<String>,
    pub(crate) promotion: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OfferRules {
    pub(crate) covers: Option<lifecycle::Frequency>,
    /// Where no column says when an offer was announced: so many days before it holds.
    pub(crate) announced_days_before: i32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProductColumns {
    pub(crate) product: String,
    pub(crate) category: Option<OneOrMany>,
    pub(crate) brand: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) launch: Option<String>,
    pub(crate) end: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PanelColumns {
    pub(crate) product: Option<String>,
    pub(crate) location: Option<OneOrMany>,
    pub(crate) date: Option<String>,
    pub(crate) units: Option<String>,
    pub(crate) in_stock: Option<String>,
    pub(crate) price: Option<String>,
    pub(crate) promotion: Option<String>,
    pub(crate) stage: Option<String>,
    pub(crate) category: Option<OneOrMany>,
    pub(crate) brand: Option<String>,
    pub(crate) title: Option<String>,
    /// Of a wide table: which columns are periods; group 1, if any, is the date.
    pub(crate) periods: Option<String>,
    /// Of a table with one row a period: which columns are series; group 1, if any, is the product.
    pub(crate) series: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PanelRules {
    pub(crate) covers: Option<lifecycle::Frequency>,
}
