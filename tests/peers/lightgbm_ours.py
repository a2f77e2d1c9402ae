"""LightGBM with exactly our inputs: the strongest peer, for units, turns and stages.

Turns: classes by horizon. Stages: classes by horizon, from labels that are probabilities with
weights. Units: quantiles by pairs of a row and a step, with that step's horizon inputs. Chosen on
validation, with a share of the training rows: which inputs, which trees; then a temperature. Turns
and stages are means over bags of slower trees.
"""

import time

import numpy as np

import boosting
from boosting import Classes, tree_parameters
from exchange import OUTLOOKS, Forecasts, turns_of_classes
from losses import at_temperature, fit_temperature, soft_log_loss, turn_labels

PAIRS_MAX = 150_000
TUNING_PAIRS = 50_000
VALIDATION_PAIRS = 40_000
N_BAGS = 3
TUNING_ROWS = 20_000
# The final trees learn this much slower than those of the tuning.
SLOWER = 0.5
# Context units that pairs see: the last weeks, and those around a year before the step.
RECENT = 13
INPUTS = {
    "statics and filter": ("x_", "f_now_", "f_4_", "f_13_", "f_26_"),
    "and context": ("x_", "f_now_", "f_4_", "f_13_", "f_26_", "u_"),
    "and horizon": ("x_", "f_now_", "f_4_", "f_13_", "f_26_", "u_", "h_"),
}


def forecast(peer, exchange, options):
    """Turns, stages and units of all rows that are asked."""
    started = time.perf_counter()
    forecasts = Forecasts(exchange.asked())
    report = {"parameters": {"bags": N_BAGS, "pairs_max": PAIRS_MAX}, "validation": {}}
    for task in (_turn_heads(exchange), _stage_heads(exchange)):
        task.tune(options, report)
        task.predict(forecasts, options, report)
    units = _Units(exchange, options)
    forecasts.means, forecasts.quantiles = units.fit_and_predict(forecasts.rows, report)
    report["fit_seconds"] = time.perf_counter() - started
    report["predict_seconds"] = units.predict_seconds
    return forecasts, report


class _Heads:
    """One target at several horizons; all take the inputs and trees that are best in sum."""

    def __init__(self, name, exchange, heads):
        self.name, self.exchange = name, exchange
        # [(name of the head, number of classes, labels and weights of rows)]
        self.heads = heads
        self.parts = [exchange.part("train"), exchange.part("validation")]

    def tune(self, options, report):
        losses = {}
        for inputs in INPUTS:
            losses[(inputs, boosting.TREES[0])] = self._loss(inputs, boosting.TREES[0], options)
        inputs = min(losses, key=losses.get)[0]
        for trees in boosting.TREES[1:]:
            losses[(inputs, trees)] = self._loss(inputs, trees, options)
        self.choice = min(losses, key=losses.get)
        report["parameters"][self.name] = {"inputs": self.choice[0], "trees": self.choice[1]}
        for variant, loss in losses.items():
            report["validation"][f"{self.name}: {variant}"] = loss

    def _loss(self, inputs, trees, options):
        """In sum over every other head: neighbouring horizons want the same."""
        parameters = tree_parameters(trees, options.threads, options.seed)
        total = 0.0
        for head in self.heads[::2]:
            classes = self._classes(head, inputs, TUNING_ROWS)
            total += classes.fit(parameters)[1] if classes else 0.0
        return total

    def _classes(self, head, inputs, n_max):
        """What a head learns from; None where there is nothing, or nothing to judge by."""
        tables = []
        for rows in self.parts:
            labels, weights = head[2](rows)
            at = np.flatnonzero(weights > 0.0)
            if len(at) > n_max:
                at = np.sort(np.random.default_rng(0).permutation(at)[:n_max])
            values, _ = self.exchange.columns(rows, *INPUTS[inputs])
            tables.append((values[at], labels[at], weights[at]))
        return Classes(*tables) if all(len(table[1]) for table in tables) else None

    def predict(self, forecasts, options, report):
        inputs, trees = self.choice
        asked, _ = self.exchange.columns(forecasts.rows, *INPUTS[inputs])
        judged, _ = self.exchange.columns(self.parts[1], *INPUTS[inputs])
        leaves, least, rate, share, ridge = trees
        for at, head in enumerate(self.heads):
            classes = self._classes(head, inputs, len(self.parts[0]))
            if classes is None:
                continue
            answers, checked = 0.0, 0.0
            for bag in range(N_BAGS):
                slower = (leaves, least, rate * SLOWER, share, ridge)
                seed = 1000 * options.seed + bag
                booster, _ = classes.fit(tree_parameters(slower, options.threads, seed))
                answers += classes.probabilities(booster, asked, options.threads) / N_BAGS
                checked += classes.probabilities(booster, judged, options.threads) / N_BAGS
            labels, weights = head[2](self.parts[1])
            temperature = fit_temperature(checked, labels, weights)
            loss = soft_log_loss(at_temperature(checked, temperature), labels, weights)
            report["parameters"][f"{self.name}, {head[0]}: temperature"] = temperature
            report["validation"][f"{self.name}, {head[0]}: log loss"] = loss
            self._store(forecasts, at, at_temperature(answers, temperature))

    def _store(self, forecasts, at, probabilities):
        n_rows = len(forecasts.rows)
        if self.name == "turns":
            if forecasts.turns is None:
                forecasts.turns = np.full((n_rows, 3, 3), np.nan)
            forecasts.turns[:, at] = turns_of_classes(probabilities)
        elif at == 0:
            forecasts.stage_now = probabilities
        else:
            if forecasts.stages is None:
                forecasts.stages = np.full((n_rows, 3, 5), np.nan)
            forecasts.stages[:, at - 1] = probabilities


def _turn_heads(exchange):
    def labels(horizon):
        return lambda rows: turn_labels(rows, horizon)

    heads = [(f"{OUTLOOKS[at]} weeks", 4, labels(at)) for at in range(3)]
    return _Heads("turns", exchange, heads)


def _stage_heads(exchange):
    def labels(ahead, n_classes):
        def of(rows):
            probabilities, weights = exchange.stage_targets(rows, ahead)
            return probabilities[:, :n_classes], weights

        return of

    heads = [("now", 4, labels(0, 4))]
    heads += [(f"{weeks} weeks", 5, labels(weeks, 5)) for weeks in OUTLOOKS]
    return _Heads("stages", exchange, heads)


class _Units:
    def __init__(self, exchange, options):
        self.exchange, self.options = exchange, options
        self.predict_seconds = 0.0

    def fit_and_predict(self, rows, report):
        tables = []
        for part, n_max in (("train", PAIRS_MAX), ("validation", VALIDATION_PAIRS)):
            of_part = self.exchange.part(part)
            units = self.exchange.targets(of_part)
            at, steps = boosting.pairs(units, n_max, self.options.seed)
            scales = of_part["scale"].to_numpy(float)[at]
            inputs = self._inputs(of_part, at, steps)
            tables.append((inputs, units[at, steps], scales))
        model = boosting.Units(*tables, self.exchange.levels, self.options)
        model.tune(TUNING_PAIRS)
        model.fit()
        report["parameters"]["units"] = model.parameters
        report["validation"] |= {f"units: {name}": loss for name, loss in model.report.items()}
        inputs, units, scales = tables[1]
        if len(units):
            wql = boosting.validation_wql(model, units, scales, inputs)
            report["validation"]["units: wql"] = wql
        return self._predict(model, rows)

    def _predict(self, model, rows):
        started = time.perf_counter()
        n_rows, n_ahead = len(rows), self.exchange.n_ahead
        scales = rows["scale"].to_numpy(float)
        means = np.zeros((n_rows, n_ahead))
        quantiles = np.zeros((n_rows, n_ahead, len(self.exchange.levels)))
        everyone = np.arange(n_rows)
        for step in range(n_ahead):
            inputs = self._inputs(rows, everyone, np.full(n_rows, step))
            mean, quantile = model.predict(inputs)
            means[:, step] = mean * scales
            quantiles[:, step] = quantile * scales[:, None]
        self.predict_seconds = time.perf_counter() - started
        return means, quantiles

    def _inputs(self, rows, at, steps):
        """One line a pair; what is known in advance is NaN beyond the horizon of the inputs."""
        exchange = self.exchange
        of_rows, _ = exchange.columns(rows, "x_", "f_now_", "f_26_")
        n_recent = exchange.meta["n_recent"]
        context = rows[[f"u_{lag}" for lag in range(1, n_recent + 1)]].to_numpy(np.float32)
        filtered = [f"f_units_{step}" for step in range(1, exchange.n_ahead + 1)]
        filtered = rows[filtered].to_numpy(np.float32)
        names = exchange.meta["horizon_inputs"]
        advance = np.full((len(rows), exchange.n_ahead, len(names)), np.nan, np.float32)
        for step in range(exchange.horizon):
            columns = [f"h_{step + 1}_{name}" for name in names]
            advance[:, step] = rows[columns].to_numpy(np.float32)
        own = [steps + 1.0, filtered[at, steps]]
        year = {52: 52, 12: 12, 7: 28}[exchange.season]
        for shift in (-1, 0, 1):
            # The first column is the origin's; of days, the same weekday four weeks before.
            lag = year - 1 - steps + shift
            then = context[at, np.clip(lag, 0, n_recent - 1)]
            own.append(np.where((lag >= 0) & (lag < n_recent), then, np.nan))
        own = np.stack(own, axis=1).astype(np.float32)
        return np.hstack([of_rows[at], context[at, :RECENT], advance[at, steps], own])
