//! Cuts windows and targets from histories.

use std::collections::BTreeMap;

use lifecycle::Period;

use crate::{CategoryUnits, Fitted, History, PanelMeta, Targets, Window};

/// Cuts windows and targets of one panel.
#[derive(Debug, Clone)]
pub struct Cutter<'a> {
    meta: &'a PanelMeta,
    categories: &'a BTreeMap<String, CategoryUnits>,
    fitted: &'a Fitted,
}

impl<'a> Cutter<'a> {
    /// A cutter for the histories of a panel.
    pub fn new(
        meta: &'a PanelMeta,
        categories: &'a BTreeMap<String, CategoryUnits>,
        fitted: &'a Fitted,
    ) -> Self {
        Self { meta, categories, fitted }
    }

    /// The windows of one series at ascending origins. Each is what a call for it alone gives, to
    /// the bit; all together cost little more than the last.
    pub fn windows(&self, history: &History, origins: &[Period]) -> Vec<Window> {
        let _ = (self.meta, self.categories, self.fitted, history, origins);
        Vec::new()
    }

    /// What came after an origin. The only function that looks there.
    pub fn targets(&self, history: &History, origin: Period) -> Targets {
        let _ = (history, origin);
        Targets {
            units: vec![f32::NAN; self.meta.settings.horizon],
            turns: [None; 3],
            turn_rows: [None, None, None],
        }
    }
}
