//! What is known of each product of a partition, from all that was said of it.
//!
//! A table of products comes before columns repeated in rows of sales; among equals the statement
//! made most often wins, then the smallest, so that the order of rows does not matter.

use std::collections::BTreeMap;

use lifecycle::ProductId;
use tables::Product;

use super::Work;
use crate::error::Error;
use crate::rows::Facts;
use crate::spill::{Bucketful, Tag};

/// Statements of one product and how often each was made, of rows of sales and of tables.
type Statements = [BTreeMap<Facts, u64>; 2];

impl Work<'_> {
    pub(super) fn products(&mut self, rows: &Bucketful) -> Result<(), Error> {
        let mut said: BTreeMap<&ProductId, Statements> =
            rows.series.iter().map(|series| (&series.product, Statements::default())).collect();
        for entry in rows.of(Tag::Facts) {
            let text = &rows.texts[entry.words[crate::spill::WORDS - 1] as usize];
            let facts: Facts =
                serde_json::from_slice(text).map_err(|error| Error::Internal(error.to_string()))?;
            let product = &rows.series[entry.series as usize].product;
            let from_table = usize::from(entry.words[0] == 1);
            let statements = &mut said.entry(product).or_default()[from_table];
            *statements.entry(facts).or_default() += entry.words[1];
        }
        for (product, statements) in said {
            self.outcome.n_contradicted += u64::from(statements[1].len() > 1);
            self.outcome.products.push(Product {
                product: product.clone(),
                category: best(&statements, |facts| {
                    Some(&facts.category).filter(|c| !c.is_empty())
                })
                .unwrap_or_default(),
                brand: best(&statements, |facts| facts.brand.as_ref()),
                title: best(&statements, |facts| facts.title.as_ref()),
                launch: best(&statements, |facts| facts.launch.as_ref()),
                end: best(&statements, |facts| facts.end.as_ref()),
            });
        }
        Ok(())
    }
}

/// The value said most often, of a table of products if it says any.
fn best<'a, T: Ord + Clone + 'a>(
    statements: &'a Statements,
    of: impl Fn(&'a Facts) -> Option<&'a T>,
) -> Option<T> {
    let [of_rows, of_tables] = statements;
    let most = |statements: &'a BTreeMap<Facts, u64>| {
        let mut counts: BTreeMap<&T, u64> = BTreeMap::new();
        for (facts, count) in statements {
            if let Some(value) = of(facts) {
                *counts.entry(value).or_default() += count;
            }
        }
        let highest = counts.values().copied().max()?;
        counts.into_iter().find(|(_, count)| *count == highest).map(|(value, _)| value.clone())
    };
    most(of_tables).or_else(|| most(of_rows))
}
