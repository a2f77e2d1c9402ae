//! Windows of many variants of a history, as an explainer asks for them.
//!
//! Most of a window's cost is the trapezoid filter, which weighs some three thousand lives and sees
//! nothing but units and season. Of a product's variants few differ in those, so what the filter
//! said of a life is kept. Each window is what [`Cutter::windows`] gives, to the bit.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use lifecycle::Period;

use super::{Cutter, Plan};
use crate::calendar::Calendar;
use crate::life::LifeNow;
use crate::view::View;
use crate::{History, Window};

/// Lives kept at most, some 2 kB each; then all are forgotten.
const LIVES_MAX: usize = 8192;

/// Cuts windows of histories that are much alike.
#[derive(Debug)]
pub struct Variants<'a> {
    cutter: Cutter<'a>,
    lives: Mutex<BTreeMap<Life, LifeNow>>,
}

/// All that the filter sees.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Life {
    start: Period,
    origin: Period,
    category: Vec<String>,
    /// Bits of the units as known at the origin.
    units: Vec<u64>,
}

impl<'a> Variants<'a> {
    /// Nothing cut yet.
    pub fn new(cutter: Cutter<'a>) -> Self {
        Self { cutter, lives: Mutex::default() }
    }

    /// The cutter.
    pub fn cutter(&self) -> &Cutter<'a> {
        &self.cutter
    }

    /// The window of a history at an origin.
    pub fn window(&self, history: &History, origin: Period) -> Window {
        self.window_with_plan(history, origin, &Plan::default())
    }

    /// The same with prices and promotions planned for what follows.
    pub fn window_with_plan(&self, history: &History, origin: Period, plan: &Plan) -> Window {
        let view = self.cutter.view(history, origin);
        let calendar = self.cutter.calendar(history, (origin, origin));
        let life = self.life(&view, &calendar);
        self.cutter.standardised(self.cutter.cut(&view, &calendar, life, Some(plan)))
    }

    fn life(&self, view: &View<'_>, calendar: &Calendar) -> LifeNow {
        let asked = Life {
            start: view.history.start,
            origin: view.origin,
            category: view.history.statics.category.clone(),
            units: view.units.iter().map(|units| units.to_bits()).collect(),
        };
        let known = self.lives.lock().unwrap_or_else(PoisonError::into_inner).get(&asked).cloned();
        known.unwrap_or_else(|| {
            let life = self.cutter.life(view, calendar, &mut self.cutter.filter());
            let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
            if lives.len() >= LIVES_MAX {
                lives.clear();
            }
            lives.insert(asked, life.clone());
            life
        })
    }
}
