//! Which players keep their own values.

/// Shape `[n_players]`: true where the player is present, false where it takes the background's.
pub type Coalition = Vec<bool>;

/// Most players that are enumerated exactly: 2^10 coalitions.
pub const EXACT_PLAYERS_MAX: usize = 10;

/// All coalitions of `n_players`; the bits of a coalition's position say who is present.
pub fn all_coalitions(n_players: usize) -> Vec<Coalition> {
    assert!(n_players <= EXACT_PLAYERS_MAX, "too many players to enumerate");
    (0..1_usize << n_players)
        .map(|bits| (0..n_players).map(|player| bits >> player & 1 == 1).collect())
        .collect()
}
