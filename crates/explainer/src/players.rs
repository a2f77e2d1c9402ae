//! The players: groups of raw inputs that a planner would name, in families and their pieces, and
//! what stands in for an absent one.
//!
//! Absence is applied to the *raw* history: an absent player takes the values of a background
//! series in the same periods, rescaled to the product's own level. Everything derived (scale,
//! filter posterior, trends, shares) is then computed anew by `panel`, as it would be for a product
//! that really had that history.

use lifecycle::{Frequency, Period};
use panel::{Channel, History};
use serde::{Deserialize, Serialize};

use crate::coalition::Coalition;

/// Inputs of one kind, static or over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Units, orders and returns.
    Sales,
    /// Prices paid and announced.
    Price,
    /// Promotions.
    Promotion,
    /// Stock.
    Stock,
    /// Views and carts.
    Traffic,
    /// Category path.
    Category,
    /// Brand or manufacturer.
    Brand,
}

/// A part of a family's inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// The last 13 weeks up to the origin.
    Recent,
    /// The 39 weeks before those.
    Year,
    /// What lies before a year.
    BeforeYear,
    /// What lies before the last 13 weeks.
    BeforeRecent,
    /// The mean over all periods; the other pieces are movements around it.
    Level,
    /// All there is.
    Whole,
}

impl Family {
    /// All families.
    pub const ALL: [Self; 7] = [
        Self::Sales,
        Self::Price,
        Self::Promotion,
        Self::Stock,
        Self::Traffic,
        Self::Category,
        Self::Brand,
    ];

    /// Name in tables and plots.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sales => "sales",
            Self::Price => "price",
            Self::Promotion => "promotion",
            Self::Stock => "stock",
            Self::Traffic => "views and carts",
            Self::Category => "category",
            Self::Brand => "brand",
        }
    }

    fn channels(self) -> &'static [Channel] {
        match self {
            Self::Sales => &[Channel::Units, Channel::Orders, Channel::Returns],
            Self::Price => &[Channel::Price],
            Self::Promotion => &[Channel::Promotion],
            Self::Stock => &[Channel::InStock],
            Self::Traffic => &[Channel::Views, Channel::Carts],
            Self::Category | Self::Brand => &[],
        }
    }

    /// What the family is made of.
    fn pieces(self) -> &'static [Piece] {
        match self {
            Self::Sales => &[Piece::Recent, Piece::Year, Piece::BeforeYear],
            Self::Price => &[Piece::Level, Piece::Recent, Piece::BeforeRecent],
            Self::Promotion | Self::Stock | Self::Traffic => &[Piece::Recent, Piece::BeforeRecent],
            Self::Category | Self::Brand => &[Piece::Whole],
        }
    }

    /// Whether the history says anything of a piece.
    fn is_known(self, piece: Piece, history: &History, cut: Cut) -> bool {
        match self {
            Self::Category => !history.statics.category.is_empty(),
            Self::Brand => history.statics.brand.is_some(),
            _ => self.channels().iter().any(|channel| {
                let values = history.channel(*channel).iter().enumerate();
                values.filter(|(_, value)| value.is_finite()).any(|(index, _)| {
                    let period = history.start.plus(index as i32);
                    piece == Piece::Level && period <= cut.origin || cut.holds(piece, period)
                })
            }),
        }
    }
}

impl Piece {
    /// What it is called beside the name of its family.
    fn name(self) -> &'static str {
        match self {
            Self::Recent => ", last 13 weeks",
            Self::Year => ", weeks 14 to 52",
            Self::BeforeYear | Self::BeforeRecent => " before",
            Self::Level => " level",
            Self::Whole => "",
        }
    }
}

/// A group of inputs that is credited together: a family, or a piece of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Player {
    family: Family,
    pieces: Vec<Piece>,
    is_part: bool,
}

impl Player {
    /// Name in tables and plots.
    pub fn name(&self) -> String {
        let piece = if self.is_part { self.pieces[0].name() } else { "" };
        format!("{}{piece}", self.family.name())
    }

    /// Whether it is a piece of a family.
    pub fn is_part(&self) -> bool {
        self.is_part
    }

    /// The family that it is, or is a piece of.
    pub fn family(&self) -> Family {
        self.family
    }
}

/// The players that have anything to say about this history, at most 16: a channel without data is
/// nobody's. Families in `split` stand as their pieces.
pub fn players_of(history: &History, split: &[Family], cut: Cut) -> Vec<Player> {
    let of_family = |family: Family| {
        let known = |piece: &Piece| family.is_known(*piece, history, cut);
        let pieces: Vec<Piece> = family.pieces().iter().copied().filter(known).collect();
        let is_part = split.contains(&family) && family.pieces().len() > 1;
        let parts =
            if is_part { pieces.iter().map(|piece| vec![*piece]).collect() } else { vec![pieces] };
        let parts = parts.into_iter().filter(|pieces| !pieces.is_empty());
        parts.map(move |pieces| Player { family, pieces, is_part })
    };
    Family::ALL.into_iter().flat_map(of_family).collect()
}

/// Where absence is applied: up to the origin, with recent parts told from the rest.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    /// Forecast origin.
    pub origin: Period,
    /// First period of "the last 13 weeks".
    pub recent: Period,
    /// First period of "the last 52 weeks".
    pub year: Period,
}

impl Cut {
    /// The cut of an origin.
    pub fn new(frequency: Frequency, origin: Period) -> Self {
        let first = |weeks| origin.plus(1 - frequency.periods_of_weeks(weeks) as i32);
        Self { origin, recent: first(13), year: first(52) }
    }

    /// Whether a period belongs to a piece.
    fn holds(&self, piece: Piece, period: Period) -> bool {
        match piece {
            Piece::Recent => (self.recent..=self.origin).contains(&period),
            Piece::Year => (self.year..self.recent).contains(&period),
            Piece::BeforeYear => period < self.year,
            Piece::BeforeRecent => period < self.recent,
            Piece::Level => false,
            Piece::Whole => period <= self.origin,
        }
    }
}

/// A history, and a background series that stands in for what is absent.
#[derive(Debug)]
pub(crate) struct Swap<'a> {
    history: &'a History,
    background: &'a History,
    cut: Cut,
    /// What the background's values are multiplied with to reach the own level, by channel.
    to_own: [f32; Channel::ALL.len()],
    /// The other way round.
    to_background: [f32; Channel::ALL.len()],
}

impl<'a> Swap<'a> {
    /// Compares levels up to the origin.
    pub(crate) fn new(history: &'a History, background: &'a History, cut: Cut) -> Self {
        let ratios = |of: &History, other: &History| {
            Channel::ALL.map(|channel| level_ratio(of, other, channel, cut.origin))
        };
        let (to_own, to_background) = (ratios(history, background), ratios(background, history));
        Self { history, background, cut, to_own, to_background }
    }

    /// The history with every absent player replaced by the background's.
    pub(crate) fn altered(&self, players: &[Player], coalition: &Coalition) -> History {
        let mut altered = self.history.clone();
        let statics = &self.background.statics;
        let absent = players.iter().zip(coalition).filter(|(_, is_present)| !**is_present);
        let absent: Vec<&Player> = absent.map(|(player, _)| player).collect();
        for player in &absent {
            match player.family {
                Family::Category => altered.statics.category.clone_from(&statics.category),
                Family::Brand => altered.statics.brand.clone_from(&statics.brand),
                _ => self.replace(&mut altered, player),
            }
        }
        // Movements are replaced at the own level first, so the level comes last.
        for player in absent.iter().filter(|player| player.pieces.contains(&Piece::Level)) {
            self.relevel(&mut altered, player.family);
        }
        altered
    }

    /// How alike both are in what a player owns: 1 where they are equal, 0 where they have nothing in
    /// common. Over time that is the sum of the lesser over the sum of the greater values (Ružička 1958),
    /// the background's being at the own level unless the player owns the level.
    pub(crate) fn likeness(&self, player: &Player) -> f64 {
        let (own, other) = (&self.history.statics, &self.background.statics);
        match player.family {
            Family::Category => {
                let both = own.category.iter().zip(&other.category);
                let n_common = both.take_while(|(own, other)| own == other).count();
                n_common as f64 / own.category.len().max(other.category.len()).max(1) as f64
            }
            Family::Brand => f64::from(u8::from(own.brand == other.brand)),
            _ => self.overlap(player),
        }
    }

    fn overlap(&self, player: &Player) -> f64 {
        let Self { history, background, cut, .. } = *self;
        let has_level = player.pieces.contains(&Piece::Level);
        let (mut lesser, mut greater) = (0.0, 0.0);
        let (mut n_known, mut n_common) = (0_u32, 0_u32);
        for channel in player.family.channels() {
            let is_share = matches!(channel, Channel::InStock | Channel::Promotion);
            let ratio = if is_share || has_level { 1.0 } else { self.to_own[*channel as usize] };
            for (index, own) in history.channel(*channel).iter().enumerate() {
                let period = history.start.plus(index as i32);
                let other = background.value(*channel, period) * ratio;
                let is_owned = has_level && period <= cut.origin
                    || player.pieces.iter().any(|piece| cut.holds(*piece, period));
                if !is_owned || !own.is_finite() {
                    continue;
                }
                // What is known of one alone is not common to both.
                let both = if other.is_finite() { other } else { 0.0 };
                lesser += f64::from(own.min(both));
                greater += f64::from(own.max(both));
                n_known += 1;
                n_common += u32::from(other.is_finite());
            }
        }
        match n_known {
            0 => 1.0,
            _ if greater > 0.0 => lesser / greater,
            _ => f64::from(n_common) / f64::from(n_known),
        }
    }

    /// Puts the background's values, at the own level, where the player owns the periods.
    fn replace(&self, altered: &mut History, player: &Player) {
        let Self { history, background, cut, .. } = *self;
        let is_owned = |period: Period| player.pieces.iter().any(|piece| cut.holds(*piece, period));
        for channel in player.family.channels() {
            if history.channel(*channel).is_empty() {
                continue;
            }
            let is_share = matches!(channel, Channel::InStock | Channel::Promotion);
            let ratio = if is_share { 1.0 } else { self.to_own[*channel as usize] };
            for (index, value) in altered.channels[*channel as usize].iter_mut().enumerate() {
                let period = history.start.plus(index as i32);
                if is_owned(period) {
                    *value = background.value(*channel, period) * ratio;
                }
            }
            if *channel == Channel::Units {
                altered.corrections.retain(|correction| !is_owned(correction.period));
            }
        }
    }

    /// Moves values up to the origin from the own level to the background's; as they are where the
    /// background has none.
    fn relevel(&self, altered: &mut History, family: Family) {
        let Self { history, cut, .. } = *self;
        for channel in family.channels() {
            let ratio = self.to_background[*channel as usize];
            if ratio > 0.0 {
                for (index, value) in altered.channels[*channel as usize].iter_mut().enumerate() {
                    if history.start.plus(index as i32) <= cut.origin {
                        *value *= ratio;
                    }
                }
            }
        }
    }
}

/// What another's values are multiplied with to reach the level of a history.
fn level_ratio(history: &History, other: &History, channel: Channel, origin: Period) -> f32 {
    let mean = |of: &History| {
        let (mut sum, mut n) = (0.0_f64, 0_u32);
        for index in 0..history.n_periods() {
            let period = history.start.plus(index as i32);
            let value = of.value(channel, period);
            if period <= origin && value.is_finite() {
                sum += f64::from(value);
                n += 1;
            }
        }
        sum / f64::from(n.max(1))
    };
    let (own, other) = (mean(history), mean(other));
    if other > 0.0 { (own / other) as f32 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use lifecycle::Series;
    use panel::Statics;

    use super::*;

    fn history(units: &[f32], prices: &[f32]) -> History {
        let mut channels: [Vec<f32>; 8] = Default::default();
        channels[Channel::Units as usize] = units.to_vec();
        channels[Channel::Price as usize] = prices.to_vec();
        History {
            series: Series::of("mug"),
            statics: Statics::default(),
            start: Period(0),
            channels,
            corrections: Vec::new(),
            given_stage: Vec::new(),
        }
    }

    fn names(players: &[Player]) -> Vec<String> {
        players.iter().map(Player::name).collect()
    }

    #[test]
    fn families_stand_whole_or_in_pieces() {
        let mut own = history(&[4.0; 70], &[2.0; 70]);
        own.statics.category = vec!["kitchen".to_owned()];
        own.statics.brand = Some("own".to_owned());
        let cut = Cut::new(Frequency::Week, Period(65));
        let families = players_of(&own, &[], cut);
        assert_eq!(names(&families), ["sales", "price", "category", "brand"]);
        let pieces = players_of(&own, &Family::ALL, cut);
        let expected = [
            "sales, last 13 weeks",
            "sales, weeks 14 to 52",
            "sales before",
            "price level",
            "price, last 13 weeks",
            "price before",
            "category",
            "brand",
        ];
        assert_eq!(names(&pieces), expected);
        let early = players_of(&own, &[Family::Sales], Cut::new(Frequency::Week, Period(11)));
        assert_eq!(names(&early)[0], "sales, last 13 weeks");
        assert_eq!(early.len(), 4, "nothing is known before the last 13 weeks");
    }

    #[test]
    fn an_absent_player_takes_the_background_at_the_own_level() {
        let (own, other) = (history(&[4.0; 20], &[]), history(&[1.0; 20], &[]));
        let cut = Cut::new(Frequency::Week, Period(17));
        let players = players_of(&own, &[Family::Sales], cut);
        assert_eq!(names(&players), ["sales, last 13 weeks", "sales, weeks 14 to 52"]);
        let rising = history(&(0_u8..20).map(f32::from).collect::<Vec<_>>(), &[]);
        let whole = Swap::new(&own, &rising, cut).altered(&players, &vec![true, true]);
        assert_eq!(whole, own);
        let no_recent = Swap::new(&own, &rising, cut).altered(&players, &vec![false, true]);
        let units = no_recent.channel(Channel::Units);
        assert_eq!(units[..5], [4.0; 5]);
        // The background's mean up to the origin is 8.5.
        assert!((units[17] - 17.0 * 4.0 / 8.5).abs() < 1e-5);
        assert_eq!(units[18..], [4.0; 2], "nothing after the origin changes");
        let nobody = Swap::new(&own, &other, cut).altered(&players, &vec![false, false]);
        assert_eq!(nobody, own, "a flat background at the own level is the series itself");
    }

    #[test]
    fn likeness_is_in_what_a_player_owns() {
        let mut own = history(&[4.0; 20], &[8.0; 20]);
        own.statics.category = ["kitchen", "mugs"].map(str::to_owned).to_vec();
        let mut other = history(&[1.0; 20], &[2.0; 20]);
        other.statics.category = ["kitchen", "lamps"].map(str::to_owned).to_vec();
        other.channels[Channel::Units as usize][15..].fill(0.0);
        let cut = Cut::new(Frequency::Week, Period(17));
        let players = players_of(&own, &Family::ALL, cut);
        let alike = |with: &History| {
            let swap = Swap::new(&own, with, cut);
            players.iter().map(|player| swap.likeness(player)).collect::<Vec<_>>()
        };
        assert_eq!(alike(&own), vec![1.0; players.len()]);
        let expected = [
            ("sales, last 13 weeks", 10.0 / (10.0 * 1.2 + 3.0)),
            ("sales, weeks 14 to 52", 1.0 / 1.2),
            ("price level", 0.25),
            ("price, last 13 weeks", 1.0),
            ("price before", 1.0),
            ("category", 0.5),
        ];
        for ((player, alike), (name, expected)) in players.iter().zip(alike(&other)).zip(expected) {
            assert_eq!(player.name(), name);
            assert!((alike - expected).abs() < 1e-6, "{name}: {alike}");
        }
        other.channels[Channel::Price as usize].clear();
        other.channels[Channel::Units as usize][..15].fill(f32::NAN);
        assert_eq!(alike(&other)[1..5], [0.0; 4], "what is known of one alone is not alike");
        own.channels[Channel::Units as usize].fill(0.0);
        let known = Swap::new(&own, &other, cut).likeness(&players[0]);
        assert!((known - 3.0 / 13.0).abs() < 1e-9, "{known}: without a sale in 3 of 13 weeks");
    }

    #[test]
    fn level_and_movements_of_a_price_are_told_apart() {
        let (own, other) = (history(&[1.0; 20], &[8.0; 20]), history(&[1.0; 20], &[2.0; 20]));
        let cut = Cut::new(Frequency::Week, Period(17));
        let players = players_of(&own, &[Family::Price], cut);
        let without = |absent: &str| {
            let coalition = players.iter().map(|player| player.name() != absent).collect();
            Swap::new(&own, &other, cut)
                .altered(&players, &coalition)
                .channel(Channel::Price)
                .to_vec()
        };
        assert_eq!(without("price, last 13 weeks"), [8.0; 20], "as flat as the own one");
        assert_eq!(without("price level")[..18], [2.0; 18]);
        let families = players_of(&own, &[], cut);
        let nobody = Swap::new(&own, &other, cut).altered(&families, &vec![false, false]);
        assert_eq!(nobody.channel(Channel::Price)[..18], [2.0; 18]);
    }
}
