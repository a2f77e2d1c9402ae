"""Mean and stack of other peers' outputs; ours is never among them.

`mean` averages probabilities, quantiles (level by level) and means of all peers that give them.
`stack` gives each peer a weight: not negative, 1 in sum, one set of weights for units and one for each
horizon of turns and stages, of least loss on validation rows (log loss by EM; pinball loss by
exponentiated gradient, Kivinen & Warmuth 1997). A peer of points only has no part in the units.
"""

from pathlib import Path

import numpy as np

from exchange import OUTLOOKS, Forecasts, classes_of_turns, read_forecasts, turns_of_classes
from losses import WQL_LEVELS, pinball, soft_log_loss, turn_labels, wql

N_EM = 300
N_GRADIENT = 300
RATE = 2.0


def forecast(peer, exchange, options):
    """The combination of all inputs."""
    named = [_named(entry) for entry in options.inputs]
    rows, judged = exchange.asked(), exchange.part("validation")
    inputs = [(name, read_forecasts(folder, rows, exchange)) for name, folder in named]
    checked = [(name, read_forecasts(folder, judged, exchange)) for name, folder in named]
    combiner = _Combiner(peer == "stack", exchange, judged)
    forecasts = Forecasts(rows)
    forecasts.means, forecasts.quantiles = combiner.units(inputs, checked)
    forecasts.turns = combiner.turns(inputs, checked)
    forecasts.stage_now = combiner.stage_now(inputs, checked)
    forecasts.stages = combiner.stages(inputs, checked)
    return forecasts, {"parameters": combiner.weights, "validation": combiner.losses}


class _Combiner:
    def __init__(self, is_stack, exchange, judged):
        self.is_stack, self.exchange, self.judged = is_stack, exchange, judged
        self.weights, self.losses = {}, {}

    def units(self, inputs, checked):
        names = [name for name, given in inputs if given.quantiles is not None]
        if not names:
            return None, None
        scales = self.judged["scale"].to_numpy(float)
        units = self.exchange.targets(self.judged) * scales[:, None]
        levels = self.exchange.levels
        experts = [given.quantiles for name, given in checked if name in names]
        weights = np.full(len(names), 1.0 / len(names))
        if self.is_stack and np.isfinite(units).any():
            weights = _pinball_weights(experts, units, levels)
        self.weights["units"] = dict(zip(names, weights.tolist()))
        self.losses["units: wql"] = wql(_weighted(experts, weights), units, levels)
        chosen = [given for name, given in inputs if name in names]
        return (
            _weighted([given.means for given in chosen], weights),
            _weighted([given.quantiles for given in chosen], weights),
        )

    def turns(self, inputs, checked):
        names = [name for name, given in inputs if given.turns is not None]
        if not names:
            return None
        horizons = []
        for horizon in range(3):
            of = lambda given: classes_of_turns(given.turns[:, horizon])
            labels = turn_labels(self.judged, horizon)
            name = f"turns, {OUTLOOKS[horizon]} weeks"
            horizons.append(self._probabilities(name, names, (inputs, checked), of, labels))
        return np.stack([turns_of_classes(classes) for classes in horizons], axis=1)

    def stage_now(self, inputs, checked):
        names = [name for name, given in inputs if given.stage_now is not None]
        if not names:
            return None
        labels, weights = self.exchange.stage_targets(self.judged, 0)
        of = lambda given: given.stage_now
        return self._probabilities(
            "stages, now", names, (inputs, checked), of, (labels[:, :4], weights)
        )

    def stages(self, inputs, checked):
        names = [name for name, given in inputs if given.stages is not None]
        if not names:
            return None
        horizons = []
        for horizon, weeks in enumerate(OUTLOOKS):
            of = lambda given: given.stages[:, horizon]
            labels = self.exchange.stage_targets(self.judged, weeks)
            name = f"stages, {weeks} weeks"
            horizons.append(self._probabilities(name, names, (inputs, checked), of, labels))
        return np.stack(horizons, axis=1)

    def _probabilities(self, task, names, both, of, target):
        inputs, checked = both
        labels, label_weights = target
        experts = [np.nan_to_num(of(given)) for name, given in checked if name in names]
        weights = np.full(len(names), 1.0 / len(names))
        if self.is_stack and label_weights.sum() > 0.0:
            weights = _mixture_weights(experts, labels, label_weights)
        self.weights[task] = dict(zip(names, weights.tolist()))
        if label_weights.sum() > 0.0:
            mixed = _weighted(experts, weights)
            self.losses[f"{task}: log loss"] = soft_log_loss(mixed, labels, label_weights)
        return _weighted([of(given) for name, given in inputs if name in names], weights)


def _named(entry):
    """`NAME=DIR` or `DIR`."""
    name, equals, folder = str(entry).partition("=")
    return (name, Path(folder)) if equals else (Path(entry).name, Path(entry))


def _weighted(values, weights):
    total = np.zeros_like(values[0])
    for value, weight in zip(values, weights):
        total += weight * value
    return total


def _mixture_weights(experts, labels, label_weights):
    """Weights of a mixture of least log loss, by EM; convex, so from the middle to the best."""
    weights = np.full(len(experts), 1.0 / len(experts))
    total = label_weights.sum()
    for _ in range(N_EM):
        mixed = np.maximum(_weighted(experts, weights), 1e-9)
        shares = label_weights[:, None] * labels / mixed
        weights = np.array([w * (shares * e).sum() / total for w, e in zip(weights, experts)])
        weights /= weights.sum()
    return weights


def _pinball_weights(experts, units, levels):
    """Weights of averaged quantiles of least pinball loss; the best of the way there."""
    rows, steps = np.nonzero(np.isfinite(units))
    experts = np.stack([expert[rows, steps][:, WQL_LEVELS] for expert in experts])
    units, levels = units[rows, steps], levels[WQL_LEVELS]
    total = max(float(np.abs(units).sum()), 1e-12)
    weights = np.full(len(experts), 1.0 / len(experts))
    best, best_loss = weights, np.inf
    for step in range(N_GRADIENT):
        mixed = np.tensordot(weights, experts, axes=1)
        loss = float(pinball(mixed, units, levels).sum())
        if loss < best_loss:
            best, best_loss = weights, loss
        slope = np.where(units[:, None] > mixed, -levels, 1.0 - levels)
        gradient = np.einsum("erl,rl->e", experts, slope) / total
        weights = weights * np.exp(-RATE / np.sqrt(step + 1.0) * (gradient - gradient.min()))
        weights = weights / weights.sum()
    return best
