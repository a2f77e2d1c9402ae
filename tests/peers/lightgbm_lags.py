"""LightGBM as forecasters use it: lags, rolling statistics, calendar, category; one model for all series.

Direct: the step is an input. Units are in multiples of the row's scale; one booster a quantile level.
The inputs are those of mlforecast (lags, rolling means and deviations, date features), cut by the
exchange at each origin. Turns are classified directly from the same inputs, with the category's lags.
"""

import time

import numpy as np

import boosting
from exchange import Forecasts
from heads import turn_heads

N_PERIODS = 104
PAIRS_MAX = 150_000
TUNING_PAIRS = 30_000
VALIDATION_PAIRS = 25_000
LAGS = (*range(1, 9), 13, 26, 39, 52)
WINDOWS = (4, 8, 13, 26, 52)


def forecast(peer, exchange, options):
    """Units and turns of all rows that are asked, as far as they are wanted."""
    started = time.perf_counter()
    inputs = Inputs(exchange)
    forecasts = Forecasts(exchange.asked())
    report = {"parameters": {}, "validation": {}}
    if "turns" in options.wanted:
        turns = turn_heads(exchange, {"lags": inputs.of_shares})
        turns.tune(options, report)
        turns.predict(forecasts, options, report)
    if "units" in options.wanted:
        _forecast_units(exchange, inputs, (forecasts, report), options)
    report["fit_seconds"] = time.perf_counter() - started - report.get("predict_seconds", 0.0)
    return forecasts, report


def _forecast_units(exchange, inputs, results, options):
    forecasts, report = results
    tables = []
    for part, n_max in (("train", PAIRS_MAX), ("validation", VALIDATION_PAIRS)):
        rows = exchange.part(part)
        units = exchange.targets(rows)
        at, steps = boosting.pairs(units, n_max, options.seed)
        scales = rows["scale"].to_numpy(float)[at]
        tables.append((inputs.of_pairs(inputs.of_rows(rows), at, steps), units[at, steps], scales))
    model = boosting.Units(*tables, exchange.levels, options)
    model.tune(TUNING_PAIRS)
    model.fit()
    fitted = time.perf_counter()
    forecasts.means, forecasts.quantiles = _predict(model, inputs, exchange, forecasts.rows)
    pairs_inputs, units, scales = tables[1]
    wql = boosting.validation_wql(model, units, scales, pairs_inputs) if len(units) else None
    report["parameters"]["units"] = model.parameters
    report["parameters"] |= {"pairs_max": PAIRS_MAX, "lags": LAGS, "windows": WINDOWS}
    report["validation"] |= {f"units: {name}": loss for name, loss in model.report.items()}
    report["validation"]["units: wql"] = wql
    report["predict_seconds"] = time.perf_counter() - fitted


def _predict(model, inputs, exchange, rows):
    of_rows = inputs.of_rows(rows)
    n_rows, scales = len(rows), rows["scale"].to_numpy(float)
    means = np.zeros((n_rows, exchange.n_ahead))
    quantiles = np.zeros((n_rows, exchange.n_ahead, len(exchange.levels)))
    everyone = np.arange(n_rows)
    for step in range(exchange.n_ahead):
        of_pairs = inputs.of_pairs(of_rows, everyone, np.full(n_rows, step))
        mean, quantile = model.predict(of_pairs)
        means[:, step] = mean * scales
        quantiles[:, step] = quantile * scales[:, None]
    return means, quantiles


class Inputs:
    """Inputs of rows, and of pairs of a row and a step."""

    def __init__(self, exchange):
        self.exchange = exchange
        categories = sorted({str(history.category) for history in exchange.histories.values()})
        self.category = {category: at for at, category in enumerate(categories)}

    def of_rows(self, rows):
        """What is the same for all steps, with what the steps' own inputs are taken from."""
        exchange = self.exchange
        scales = rows["scale"].to_numpy(float)
        units = exchange.recent(rows, N_PERIODS) / scales[:, None]
        columns = [np.log(scales), rows["age"].to_numpy(float), rows["cold_start"].to_numpy(float)]
        columns += [units[:, -lag] for lag in LAGS]
        with np.errstate(all="ignore"):
            for window in WINDOWS:
                recent = units[:, -window:]
                known = np.isfinite(recent)
                n_known = known.sum(axis=1)
                mean = np.where(known, recent, 0.0).sum(axis=1) / n_known
                variance = np.where(known, recent - mean[:, None], 0.0) ** 2
                zeros = (known & (recent == 0.0)).sum(axis=1) / n_known
                columns += [mean, np.sqrt(variance.sum(axis=1) / n_known), zeros, n_known]
        sold = np.where(np.isfinite(units), units, 0.0) > 0.0
        since = np.where(sold.any(axis=1), np.argmax(sold[:, ::-1], axis=1), N_PERIODS)
        codes = [self.category[str(exchange.histories[s].category)] for s in rows["series"]]
        columns += [since, np.array(codes, float)]
        columns += _relative(exchange.recent(rows, 26, "price"))
        columns += _shares(exchange.recent(rows, 13, "promotion"))
        return np.stack(columns, axis=1).astype(np.float32), units, rows["origin"].to_numpy(int)

    def of_shares(self, rows):
        """The row's inputs, and how its category moved beside it: turns are of shares."""
        columns, units, _ = self.of_rows(rows)
        category = self.exchange.recent_of_category(rows, N_PERIODS)
        quarter, year = self.exchange.quarter, min(self.exchange.year, N_PERIODS)
        own = []
        with np.errstate(all="ignore"):
            for back, window in ((0, quarter // 3 or 1), (quarter, quarter), (0, year)):
                own.append(np.log(_mean(category, back, window) / _mean(category, 0, quarter)))
                own.append(_mean(units, back, window) / _mean(units, 0, quarter))
            # What followed a year ago: the season to come.
            for ahead in (quarter // 3 or 1, quarter, 2 * quarter):
                then = _mean(category, max(year - ahead, 0), min(quarter, ahead))
                own.append(np.log(then / _mean(category, year, quarter)))
        own = np.nan_to_num(np.stack(own, axis=1), nan=np.nan, posinf=9.0, neginf=-9.0)
        return np.hstack([columns, own.astype(np.float32)])

    def of_pairs(self, of_rows, at, steps):
        """One line a pair: the row's inputs, the step, its calendar, and units a year before it."""
        columns, units, origins = of_rows
        # Of days, the same weekday four weeks before.
        year = {52: 52, 12: 12, 7: 28}[self.exchange.season]
        own = [steps + 1.0]
        for shift in (-1, 0, 1):
            # Units `year` periods before the step, where that is no later than the origin.
            back = year - 1 - steps + shift
            is_known = (back >= 0) & (back < N_PERIODS)
            then = units[at, N_PERIODS - 1 - np.clip(back, 0, N_PERIODS - 1)]
            own.append(np.where(is_known, then, np.nan))
        own += self._calendar(origins[at] + steps + 1)
        return np.hstack([columns[at], np.stack(own, axis=1).astype(np.float32)])

    def _calendar(self, periods):
        """Cycles of the year, and of the week where periods are days."""
        per_year = {52: 365.25 / 7.0, 12: 12.0, 7: 365.25}[self.exchange.season]
        angle = 2.0 * np.pi * periods / per_year
        cycles = [np.sin(angle), np.cos(angle), np.sin(2.0 * angle), np.cos(2.0 * angle)]
        return cycles + ([(periods % 7).astype(float)] if self.exchange.season == 7 else [])


def _mean(values, back, window):
    """Mean of the known ones of `window` periods that end `back` periods before the last."""
    end = values.shape[1] - back
    recent = values[:, max(0, end - window) : max(end, 0)]
    known = np.isfinite(recent)
    return np.where(known, recent, 0.0).sum(axis=1) / known.sum(axis=1)


def _relative(prices):
    """The last price against the mean of half a year; NaN where none is known."""
    with np.errstate(all="ignore"):
        known = np.isfinite(prices)
        mean = np.where(known, prices, 0.0).sum(axis=1) / known.sum(axis=1)
        return [prices[:, -1] / mean, prices[:, -4:].min(axis=1) / mean]


def _shares(promotions):
    with np.errstate(all="ignore"):
        known = np.isfinite(promotions)
        mean = np.where(known, promotions, 0.0).sum(axis=1) / known.sum(axis=1)
        return [promotions[:, -1], mean]
