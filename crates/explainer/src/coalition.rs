//! Which players keep their own values.

/// Shape `[n_players]`: true where the player is present, false where it takes the background's.
pub type Coalition = Vec<bool>;

/// Most players that are enumerated unless more are asked for: 2^10 coalitions.
pub const EXACT_PLAYERS_MAX: usize = 10;

/// All coalitions of `n_players`; the bits of a coalition's position say who is present.
///
/// # Panics
///
/// If there are more than 16 players.
pub fn all_coalitions(n_players: usize) -> Vec<Coalition> {
    assert!(n_players <= 16, "too many players to enumerate");
    (0..1_usize << n_players)
        .map(|bits| (0..n_players).map(|player| bits >> player & 1 == 1).collect())
        .collect()
}
