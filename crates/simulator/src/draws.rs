//! A stream of random variates of its own for each product and each part of the market, so that
//! neither order of work nor number of threads changes a draw.

use lifecycle::Digest;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Gamma, Poisson, StandardNormal};

use crate::config::Config;

/// Median and standard deviation of the logarithm of a lognormal variate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) sigma: f64,
}

/// Shorthand for the tables of parameters.
pub(crate) const fn spread(median: f64, sigma: f64) -> Spread {
    Spread { median, sigma }
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Draws(ChaCha8Rng);

impl Draws {
    /// The stream of the `index`th thing of a kind, under the configuration's seed and world.
    pub(crate) fn of(config: &Config, kind: &str, index: usize) -> Self {
        Self::named(&format!("{} {} {kind} {index}", config.world.name(), config.seed))
    }

    /// The stream of this name.
    pub(crate) fn named(name: &str) -> Self {
        Self(ChaCha8Rng::from_seed(*Digest::of(name).as_bytes()))
    }

    /// Uniform in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        self.0.random()
    }

    /// Uniform in [low, high).
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform among `low..=high`.
    pub(crate) fn whole(&mut self, low: i64, high: i64) -> i64 {
        low + ((high - low + 1) as f64 * self.unit()) as i64
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of the items, all alike.
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[(items.len() as f64 * self.unit()) as usize]
    }

    /// A position, in proportion to the weights.
    pub(crate) fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f64>();
        for (position, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return position;
            }
        }
        weights.len() - 1
    }

    /// Standard normal.
    pub(crate) fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    /// Lognormal.
    pub(crate) fn log_normal(&mut self, spread: Spread) -> f64 {
        spread.median * (spread.sigma * self.normal()).exp()
    }

    /// Exponential with this mean.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// Gamma with mean 1 and variance `1 / shape`: a Poisson count with its mean times this is
    /// negative-binomial.
    pub(crate) fn gamma(&mut self, shape: f64) -> f64 {
        Gamma::new(shape, 1.0 / shape).map_or(1.0, |gamma| gamma.sample(&mut self.0))
    }

    /// Poisson; 0 where the mean is not positive.
    pub(crate) fn poisson(&mut self, mean: f64) -> u32 {
        Poisson::new(mean).map_or(0, |poisson: Poisson<f64>| poisson.sample(&mut self.0) as u32)
    }

    /// Trials up to and with the first success: mean `1 / probability`.
    pub(crate) fn geometric(&mut self, probability: f64) -> i64 {
        1 + ((1.0 - self.unit()).ln() / (1.0 - probability).ln()) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_kind_index_seed_and_world() {
        let config = Config::default();
        let first = |config: &Config, kind, index| Draws::of(config, kind, index).unit();
        let other_seed = Config { seed: 2, ..Config::default() };
        let base = first(&config, "product", 7);
        assert_eq!(base, first(&config, "product", 7));
        assert_ne!(base, first(&config, "product", 8));
        assert_ne!(base, first(&config, "brand", 7));
        assert_ne!(base, first(&other_seed, "product", 7));
    }

    #[test]
    fn variates_have_their_means() {
        let mut draws = Draws::of(&Config::default(), "test", 0);
        let mut mean_of = |draw: &mut dyn FnMut(&mut Draws) -> f64| {
            (0..20_000).map(|_| draw(&mut draws)).sum::<f64>() / 20_000.0
        };
        assert!((mean_of(&mut |draws| draws.geometric(0.4) as f64) - 2.5).abs() < 0.06);
        assert!((mean_of(&mut |draws| draws.gamma(2.0)) - 1.0).abs() < 0.02);
        assert!((mean_of(&mut |draws| f64::from(draws.poisson(3.0))) - 3.0).abs() < 0.05);
        assert!((mean_of(&mut |draws| draws.exponential(5.0)) - 5.0).abs() < 0.15);
        assert!((mean_of(&mut |draws| draws.whole(2, 4) as f64) - 3.0).abs() < 0.03);
    }
}
