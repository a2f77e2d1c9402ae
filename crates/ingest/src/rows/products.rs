//! What a product is: from a table of products, or from columns repeated in every row of sales.

use lifecycle::Day;
use serde::{Deserialize, Serialize};

use crate::refusals::Reason;
use crate::rows::Row;

/// Which columns say what a product is.
#[derive(Debug, Clone, Default)]
pub(crate) struct FactColumns {
    /// From the root down.
    pub(crate) category: Vec<usize>,
    pub(crate) brand: Option<usize>,
    pub(crate) title: Option<usize>,
    pub(crate) launch: Option<usize>,
    pub(crate) end: Option<usize>,
}

/// A table of products.
#[derive(Debug)]
pub(crate) struct ProductPlan {
    pub(crate) product: usize,
    pub(crate) facts: FactColumns,
}

/// What is said of a product; empty where nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) category: Vec<String>,
    pub(crate) brand: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) launch: Option<Day>,
    pub(crate) end: Option<Day>,
}

impl FactColumns {
    pub(crate) fn is_empty(&self) -> bool {
        self.slots().next().is_none()
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = usize> + '_ {
        let single = [self.brand, self.title, self.launch, self.end];
        self.category.iter().copied().chain(single.into_iter().flatten())
    }

    /// The facts of a row. A category's path ends where a level is missing.
    pub(crate) fn of(&self, row: &mut Row<'_, '_>) -> Facts {
        let levels = self.category.iter().map_while(|&slot| row.text(Some(slot)));
        Facts {
            category: levels.collect(),
            brand: row.text(self.brand),
            title: row.text(self.title),
            launch: row.day(self.launch),
            end: row.day(self.end),
        }
    }
}

impl ProductPlan {
    /// Finds what is wrong with a row of products.
    pub(crate) fn check(&self, row: &mut Row<'_, '_>) {
        row.product(self.product);
        let facts = self.facts.of(row);
        if let (Some(launch), Some(end)) = (facts.launch, facts.end)
            && end < launch
        {
            row.problem(Reason::EndsBeforeLaunch, self.facts.end);
        }
    }
}
