"""LightGBM with exactly our inputs: the strongest peer, for units, turns and stages.

Turns and stages: classes by horizon (`heads.py`). Units: quantiles by pairs of a row and a step, with
that step's horizon inputs (`boosting.py`).
"""

import time

import numpy as np

import boosting
from exchange import Forecasts
from heads import stage_heads, turn_heads

PAIRS_MAX = 120_000
TUNING_PAIRS = 30_000
VALIDATION_PAIRS = 25_000
# Context units that pairs see: the last weeks, and those around a year before the step.
RECENT = 13
FILTER = ("f_now_", "f_4_", "f_13_", "f_26_")
INPUTS = {
    "statics and filter": ("x_", *FILTER),
    "and context": ("x_", *FILTER, "u_"),
    "and horizon": ("x_", *FILTER, "u_", "h_"),
}


def forecast(peer, exchange, options):
    """Turns, stages and units of all rows that are asked, as far as they are wanted."""
    started = time.perf_counter()
    forecasts = Forecasts(exchange.asked())
    report = {"parameters": {"pairs_max": PAIRS_MAX}, "validation": {}}
    inputs = {name: _columns(exchange, prefixes) for name, prefixes in INPUTS.items()}
    for wanted, heads in (("turns", turn_heads), ("stages", stage_heads)):
        if wanted in options.wanted:
            task = heads(exchange, inputs)
            task.tune(options, report)
            task.predict(forecasts, options, report)
    if "units" in options.wanted:
        units = _Units(exchange, options)
        forecasts.means, forecasts.quantiles = units.fit_and_predict(forecasts.rows, report)
        report["predict_seconds"] = units.predict_seconds
    report["fit_seconds"] = time.perf_counter() - started
    return forecasts, report


def _columns(exchange, prefixes):
    return lambda rows: exchange.columns(rows, *prefixes)


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
        of_rows = exchange.columns(rows, "x_", "f_now_", "f_26_")
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
