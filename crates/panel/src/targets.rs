//! What came after an origin: for training and scoring only.

use lifecycle::Stretch;

/// What came after an origin, as finally known.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    /// Units of each period after the origin, in the data's own units; NaN where not observed.
    /// Shape `[horizon]`.
    pub units: Vec<f32>,
    /// Whether each of [`lifecycle::Turn::ALL`] came, at each of [`lifecycle::OUTLOOK_WEEKS`];
    /// `None` where the protocol scores nothing.
    pub turns: [Option<[bool; 3]>; 3],
    /// What turns were judged by, for forecasters that know only units; `None` where `turns` is.
    pub turn_rows: [Option<TurnRow>; 3],
}

/// What a turn is judged by. Units are in multiples of one unit (`units_per_one`).
#[derive(Debug, Clone, PartialEq)]
pub struct TurnRow {
    /// The 13 weeks up to the origin, as known at the origin.
    pub before: Stretch,
    /// The weeks that count after it, as they came.
    pub after: Stretch,
    /// The first step that counts; step 0 is the first period after the origin.
    pub first_step: usize,
    /// Whether the series was observed in each step from `first_step` to the horizon of the turn.
    /// Only these steps of a path, and of the category's means, are summed.
    pub observed: Vec<bool>,
}
