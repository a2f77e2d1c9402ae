//! The players: groups of raw inputs that a planner would name, and what stands in for an absent
//! one.
//!
//! Absence is applied to the *raw* history: an absent player takes the values of a background
//! series in the same periods, rescaled to the product's own level. Everything derived (scale,
//! filter posterior, trends, shares) is then computed anew by `panel`, as it would be for a product
//! that really had that history.

use lifecycle::{Frequency, Period};
use panel::{Channel, History};

use crate::coalition::Coalition;

/// A group of inputs that is credited together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Player {
    /// Units, orders and returns of the last 13 weeks.
    RecentSales,
    /// Units, orders and returns before that.
    EarlierSales,
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
}

impl Player {
    /// All players.
    pub const ALL: [Self; 7] = [
        Self::RecentSales,
        Self::EarlierSales,
        Self::Price,
        Self::Promotion,
        Self::Stock,
        Self::Traffic,
        Self::Category,
    ];

    /// Name in tables and plots.
    pub fn name(self) -> &'static str {
        match self {
            Self::RecentSales => "sales, last 13 weeks",
            Self::EarlierSales => "sales before",
            Self::Price => "price",
            Self::Promotion => "promotion",
            Self::Stock => "stock",
            Self::Traffic => "views and carts",
            Self::Category => "category",
        }
    }

    /// Channels that the player owns (within its periods).
    fn channels(self) -> &'static [Channel] {
        match self {
            Self::RecentSales | Self::EarlierSales => {
                &[Channel::Units, Channel::Orders, Channel::Returns]
            }
            Self::Price => &[Channel::Price],
            Self::Promotion => &[Channel::Promotion],
            Self::Stock => &[Channel::InStock],
            Self::Traffic => &[Channel::Views, Channel::Carts],
            Self::Category => &[],
        }
    }
}

/// The players that have anything to say about this history: a channel without data is nobody's.
pub fn players_of(history: &History) -> Vec<Player> {
    let has_data = |player: &Player| match player {
        Player::Category => !history.statics.category.is_empty(),
        _ => player
            .channels()
            .iter()
            .any(|channel| history.channel(*channel).iter().any(|value| value.is_finite())),
    };
    Player::ALL.into_iter().filter(has_data).collect()
}

/// Where absence is applied: up to the origin, with the recent part told from the rest.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    /// Forecast origin.
    pub origin: Period,
    /// First period of "the last 13 weeks".
    pub recent: Period,
}

impl Cut {
    /// The cut of an origin.
    pub fn new(frequency: Frequency, origin: Period) -> Self {
        let n_recent = frequency.periods_of_weeks(13) as i32;
        Self { origin, recent: origin.plus(1 - n_recent) }
    }
}

/// The history with every absent player replaced by the background's.
pub fn altered(
    history: &History,
    background: &History,
    players: &[Player],
    coalition: &Coalition,
    cut: Cut,
) -> History {
    let mut altered = history.clone();
    let swap = Swap { history, background, cut };
    let absent = players.iter().zip(coalition).filter(|(_, is_present)| !**is_present);
    for (player, _) in absent {
        if *player == Player::Category {
            altered.statics.category.clone_from(&background.statics.category);
        }
        for channel in player.channels() {
            swap.replace(&mut altered, *player, *channel);
        }
    }
    altered
}

/// What stands in for what.
struct Swap<'a> {
    history: &'a History,
    background: &'a History,
    cut: Cut,
}

impl Swap<'_> {
    /// Puts the background's values where the player owns the channel's periods.
    fn replace(&self, altered: &mut History, player: Player, channel: Channel) {
        let Self { history, background, cut } = *self;
        if history.channel(channel).is_empty() {
            return;
        }
        let is_share = matches!(channel, Channel::InStock | Channel::Promotion);
        let ratio =
            if is_share { 1.0 } else { level_ratio(history, background, channel, cut.origin) };
        let is_owned = |period: Period| match player {
            Player::RecentSales => (cut.recent..=cut.origin).contains(&period),
            Player::EarlierSales => period < cut.recent,
            _ => period <= cut.origin,
        };
        for (index, value) in altered.channels[channel as usize].iter_mut().enumerate() {
            let period = history.start.plus(index as i32);
            if is_owned(period) {
                *value = background.value(channel, period) * ratio;
            }
        }
        if channel == Channel::Units {
            altered.corrections.retain(|correction| !is_owned(correction.period));
        }
    }
}

/// What a background's values are multiplied with to reach the product's own level.
fn level_ratio(history: &History, background: &History, channel: Channel, origin: Period) -> f32 {
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
    let (own, other) = (mean(history), mean(background));
    if other > 0.0 { (own / other) as f32 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use lifecycle::Series;
    use panel::Statics;

    use super::*;

    fn history(units: &[f32]) -> History {
        let mut channels: [Vec<f32>; 8] = Default::default();
        channels[Channel::Units as usize] = units.to_vec();
        History {
            series: Series::of("mug"),
            statics: Statics::default(),
            start: Period(0),
            channels,
            corrections: Vec::new(),
            given_stage: Vec::new(),
        }
    }

    #[test]
    fn an_absent_player_takes_the_background_at_the_own_level() {
        let (own, other) = (history(&[4.0; 20]), history(&[1.0; 20]));
        let players = players_of(&own);
        assert_eq!(players, [Player::RecentSales, Player::EarlierSales]);
        let cut = Cut::new(Frequency::Week, Period(17));
        let rising = history(&(0_u8..20).map(f32::from).collect::<Vec<_>>());
        let whole = altered(&own, &rising, &players, &vec![true, true], cut);
        assert_eq!(whole, own);
        let no_recent = altered(&own, &rising, &players, &vec![false, true], cut);
        let units = no_recent.channel(Channel::Units);
        assert_eq!(units[..5], [4.0; 5]);
        // The background's mean up to the origin is 8.5.
        assert!((units[17] - 17.0 * 4.0 / 8.5).abs() < 1e-5);
        assert_eq!(units[18..], [4.0; 2], "nothing after the origin changes");
        let nobody = altered(&own, &other, &players, &vec![false, false], cut);
        assert_eq!(nobody, own, "a flat background at the own level is the series itself");
    }
}
