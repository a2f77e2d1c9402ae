"""Losses that variants are chosen by, always on validation rows, and a temperature fitted on them."""

import numpy as np

from exchange import OUTLOOKS

PROBABILITY_MIN = 1e-4
# The levels .1 to .9 of the 13 make the WQL.
WQL_LEVELS = slice(2, 11)


def pinball(quantiles, units, levels):
    """Pinball losses `[..., levels]`; NaN where units are."""
    error = units[..., None] - quantiles
    return np.maximum(levels * error, (levels - 1.0) * error)


def wql(quantiles, units, levels):
    """Weighted quantile loss over all rows and steps with units: `[rows, steps, levels]`."""
    n_steps = units.shape[1]
    losses = pinball(quantiles[:, :n_steps, WQL_LEVELS], units, levels[WQL_LEVELS])
    total = np.nansum(np.abs(units))
    return float(2.0 * np.nansum(losses) / losses.shape[-1] / max(total, 1e-12))


def clipped(probabilities):
    """Probabilities as the protocol's log loss takes them."""
    return np.clip(probabilities, PROBABILITY_MIN, 1.0 - PROBABILITY_MIN)


def soft_log_loss(probabilities, labels, weights):
    """Weighted mean cross-entropy of labels that are probabilities themselves."""
    losses = -(labels * np.log(clipped(probabilities))).sum(axis=1)
    return float((weights * losses).sum() / max(weights.sum(), 1e-12))


def one_hot(classes, n_classes):
    """Classes (NaN: none) as probabilities with weights 0 or 1."""
    classes = np.asarray(classes, dtype=float)
    is_known = np.isfinite(classes)
    labels = np.zeros((len(classes), n_classes))
    labels[is_known, classes[is_known].astype(int)] = 1.0
    return labels, is_known.astype(float)


def turn_labels(rows, horizon):
    """Turn classes at a horizon in weeks, as `one_hot` gives them."""
    name = f"t_{OUTLOOKS[horizon]}"
    return one_hot(rows[name].to_numpy(float), 4)


def at_temperature(probabilities, temperature):
    """Probabilities to the power 1 / temperature, normalised (Guo et al. 2017)."""
    powered = np.maximum(probabilities, 1e-12) ** (1.0 / temperature)
    return powered / powered.sum(axis=1, keepdims=True)


def fit_temperature(probabilities, labels, weights):
    """The temperature of least log loss, on a grid of ratios; 1 where nothing is known."""
    if weights.sum() == 0.0:
        return 1.0
    grid = np.exp(np.linspace(np.log(0.5), np.log(2.0), 41))
    losses = [soft_log_loss(at_temperature(probabilities, t), labels, weights) for t in grid]
    return float(grid[int(np.argmin(losses))])
