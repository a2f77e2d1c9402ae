//! What rows say about products, counted while they are read.
//!
//! A title may stand in every one of a million order lines. Equal statements are counted in memory
//! and written out when there are too many; the second pass adds the counts up again.

use std::collections::BTreeMap;

use lifecycle::{ProductId, Series};

use crate::error::Error;
use crate::identity::Fingerprint;
use crate::rows::{FactColumns, Facts, Row};
use crate::spill::{Place, Tag, Writer};

/// Statements held at a time.
const STATEMENTS_MAX: usize = 1 << 17;

/// A statement's fingerprint, and whether it comes from a table of products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Said {
    print: u64,
    from_table: bool,
}

impl Said {
    pub(crate) fn of(row: &Row<'_, '_>, columns: &FactColumns, from_table: bool) -> Self {
        let mut print = Fingerprint::new();
        columns.slots().for_each(|slot| print.add(&row.cells[slot].text().unwrap_or_default()));
        Self { print: print.finish(), from_table }
    }
}

/// Statements and how often each was made.
#[derive(Debug, Default)]
pub(crate) struct FactsCache {
    products: BTreeMap<ProductId, Vec<(Said, u64, Facts)>>,
    n_statements: usize,
}

impl FactsCache {
    pub(crate) fn add(&mut self, product: &ProductId, said: Said, facts: impl FnOnce() -> Facts) {
        if let Some(statements) = self.products.get_mut(product) {
            if let Some((_, count, _)) = statements.iter_mut().find(|(known, ..)| *known == said) {
                *count += 1;
                return;
            }
            statements.push((said, 1, facts()));
        } else {
            self.products.insert(product.clone(), vec![(said, 1, facts())]);
        }
        self.n_statements += 1;
    }

    pub(crate) fn flush_if_full(&mut self, spill: &mut Writer<'_>) -> Result<(), Error> {
        if self.n_statements < STATEMENTS_MAX { Ok(()) } else { self.flush(spill) }
    }

    pub(crate) fn flush(&mut self, spill: &mut Writer<'_>) -> Result<(), Error> {
        self.n_statements = 0;
        for (product, statements) in std::mem::take(&mut self.products) {
            let series = Series { product, location: None };
            for (said, count, facts) in statements {
                let text = serde_json::to_vec(&facts)
                    .map_err(|error| Error::Internal(error.to_string()))?;
                let words = [u64::from(said.from_table), count];
                spill.write(Tag::Facts, &series, Place::default(), (&words, &text))?;
            }
        }
        Ok(())
    }
}
