//! Which estimator splits a game, within a budget of model evaluations.

use crate::coalition::EXACT_PLAYERS_MAX;
use crate::config::Config;
use crate::error::Error;
use crate::estimator::Method;

/// Coalitions where the budget is the explainer's choice: on games of 12 players the Gaussian
/// process errs by less than 1 % there.
const COALITIONS: usize = 512;

/// Coalitions from which on a Gaussian process, whose work grows with their cube, is too slow.
const GAUSSIAN_MAX: usize = 2048;

/// How a game is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effort {
    /// By which estimator.
    pub(crate) method: Method,
    /// From how many coalitions at most.
    pub(crate) n_coalitions: usize,
}

impl Effort {
    /// The method that is asked for; else exact where the players are few and the budget allows,
    /// a Gaussian process where the model is the cost, and regression beyond.
    pub(crate) fn within(
        config: &Config,
        n_players: usize,
        n_background: usize,
    ) -> Result<Self, Error> {
        let all = 1 << n_players;
        let given = config.evaluations_max;
        let allowed = given.map_or(usize::MAX, |most| most.saturating_sub(1) / n_background);
        let is_exact = n_players <= EXACT_PLAYERS_MAX && all <= allowed;
        let method = config.method.unwrap_or(match allowed {
            _ if is_exact => Method::Exact,
            GAUSSIAN_MAX.. if given.is_some() => Method::Odd,
            _ => Method::Gaussian,
        });
        let wanted = if method == Method::Exact || given.is_some() { all } else { COALITIONS };
        let affordable = if method == Method::Gaussian { GAUSSIAN_MAX } else { all };
        let n_coalitions = wanted.min(allowed).min(all).min(affordable);
        let least = if method == Method::Exact { all } else { Self::coalitions_least(n_players) };
        match given {
            Some(given) if n_coalitions < least => {
                Err(Error::Budget { given, n_players, least: least * n_background + 1 })
            }
            _ => Ok(Self { method, n_coalitions }),
        }
    }

    /// Two coalitions for each player, and their complements, so that errors can be told.
    pub(crate) fn coalitions_least(n_players: usize) -> usize {
        (4 * n_players).min(1 << n_players)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(evaluations_max: Option<usize>, n_players: usize) -> Result<Effort, Error> {
        Effort::within(&Config { evaluations_max, ..Config::default() }, n_players, 2)
    }

    #[test]
    fn players_and_budget_choose_the_method() {
        let effort = |method, n_coalitions| Effort { method, n_coalitions };
        assert_eq!(within(None, 7).expect("few"), effort(Method::Exact, 128));
        assert_eq!(within(Some(257), 7).expect("exact"), effort(Method::Exact, 128));
        assert_eq!(within(Some(256), 7).expect("less"), effort(Method::Gaussian, 127));
        assert_eq!(within(None, 12).expect("many"), effort(Method::Gaussian, 512));
        assert_eq!(within(Some(8001), 12).expect("much"), effort(Method::Odd, 4000));
        let error = within(Some(56), 7).expect_err("errors cannot be told");
        assert_eq!(error.to_string(), "evaluations_max is 56: 7 players need at least 57");
        assert_eq!(within(Some(57), 7).expect("least"), effort(Method::Gaussian, 28));
    }

    #[test]
    fn a_method_that_is_asked_for_is_taken() {
        let asked = |method, evaluations_max| {
            let config = Config { method: Some(method), evaluations_max, ..Config::default() };
            Effort::within(&config, 12, 1)
        };
        let exact = asked(Method::Exact, None).expect("as many as it takes");
        assert_eq!(exact, Effort { method: Method::Exact, n_coalitions: 4096 });
        assert!(matches!(asked(Method::Exact, Some(4096)), Err(Error::Budget { least: 4097, .. })));
        let leverage = asked(Method::Leverage, Some(101)).expect("enough");
        assert_eq!(leverage, Effort { method: Method::Leverage, n_coalitions: 100 });
    }
}
