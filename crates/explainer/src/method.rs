//! Which estimator splits a game, within a budget of model evaluations.

use crate::coalition::EXACT_PLAYERS_MAX;
use crate::stage::{Config, Error};

/// How coalitions are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// All of them.
    Exact,
    /// Along random orders and their reverses.
    Permutation {
        /// Orders; each is walked both ways.
        n_pairs: usize,
    },
}

impl Method {
    /// Exact where the players are few and the budget allows, else as many pairs of permutations as
    /// are asked for and allowed.
    pub(crate) fn within(
        config: &Config,
        n_players: usize,
        n_background: usize,
    ) -> Result<Self, Error> {
        let of = |method: Self| method.n_coalitions(n_players) * n_background + 1;
        let most = config.evaluations_max.unwrap_or(usize::MAX);
        if n_players <= EXACT_PLAYERS_MAX && of(Self::Exact) <= most {
            return Ok(Self::Exact);
        }
        let least = of(Self::Permutation { n_pairs: 2 });
        let a_pair = of(Self::Permutation { n_pairs: 1 }) - 1;
        let n_pairs = ((most - 1) / a_pair).min(config.n_pairs);
        if n_pairs < 2 {
            return Err(Error::Budget { given: most, n_players, least });
        }
        Ok(Self::Permutation { n_pairs })
    }

    /// Coalitions whose outputs are asked for.
    pub(crate) fn n_coalitions(self, n_players: usize) -> usize {
        match self {
            Self::Exact => 1 << n_players,
            Self::Permutation { n_pairs } => n_pairs * 2 * (n_players + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(evaluations_max: Option<usize>, n_players: usize) -> Result<Method, Error> {
        Method::within(&Config { evaluations_max, ..Config::default() }, n_players, 2)
    }

    #[test]
    fn a_budget_decides_between_exact_and_sampled() {
        assert_eq!(within(None, 7).expect("exact"), Method::Exact);
        assert_eq!(within(Some(257), 7).expect("exact"), Method::Exact);
        assert_eq!(within(Some(256), 7).expect("some"), Method::Permutation { n_pairs: 7 });
        assert_eq!(within(None, 12).expect("many"), Method::Permutation { n_pairs: 64 });
        let error = within(Some(64), 7).expect_err("one pair has no standard error");
        assert_eq!(error.to_string(), "evaluations_max is 64: 7 players need at least 65");
        assert_eq!(within(Some(65), 7).expect("least"), Method::Permutation { n_pairs: 2 });
    }
}
