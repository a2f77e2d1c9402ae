"""Classical peers of one series each: seasonal naive, AutoETS, AutoTheta, Croston SBA (statsforecast).

They know no masks: a masked period is interpolated between its neighbours, at the ends the nearest
value stands. AutoETS and AutoTheta give quantiles through their intervals, the others points. Each has
two variants, of which the better on a sample of validation rows forecasts all.
"""

import time
import warnings
from multiprocessing import get_context

import numpy as np
from scipy import stats

from exchange import Forecasts
from losses import wql

TUNING_ROWS_MAX = 800
# Fewer known periods are too few for any model; the level with Poisson noise stands in.
PERIODS_MIN = 6
CHUNK = 64

VARIANTS = {
    "seasonal-naive": ("last 13 weeks", "last value"),
    "auto-ets": ("units", "log1p"),
    "auto-theta": ("units", "log1p"),
    "croston-sba": ("alpha .1", "alpha optimised"),
}


def forecast(peer, exchange, options):
    """All rows by the variant that is best on validation."""
    rows = exchange.asked()
    started = time.perf_counter()
    losses = _variant_losses(peer, exchange, options)
    variant = min(losses, key=losses.get) if losses else VARIANTS[peer][0]
    tuned = time.perf_counter()
    forecasts = Forecasts(rows)
    forecasts.means, forecasts.quantiles = _all(peer, variant, exchange, rows, options.threads)
    report = {
        "parameters": {"variant": variant},
        "validation": losses,
        "fit_seconds": tuned - started,
        "predict_seconds": time.perf_counter() - tuned,
    }
    return forecasts, report


def _variant_losses(peer, exchange, options):
    rows = exchange.part("validation")
    if rows.empty:
        return {}
    sample = np.random.default_rng(options.seed).permutation(len(rows))[:TUNING_ROWS_MAX]
    rows = rows.iloc[np.sort(sample)].reset_index(drop=True)
    units = exchange.targets(rows) * rows["scale"].to_numpy(float)[:, None]
    losses = {}
    for variant in VARIANTS[peer]:
        means, quantiles = _all(peer, variant, exchange, rows, options.threads)
        if quantiles is None:
            quantiles = np.repeat(means[:, :, None], len(exchange.levels), axis=2)
        losses[variant] = wql(quantiles, units, exchange.levels)
    return losses


def _all(peer, variant, exchange, rows, threads):
    """Means `[rows, n_ahead]` and quantiles `[rows, n_ahead, levels]` or None."""
    tasks = [
        (filled(exchange.histories[series].known(int(origin))), float(scale))
        for series, origin, scale in zip(rows["series"], rows["origin"], rows["scale"])
    ]
    global _model
    _model = _Model(peer, variant, exchange)  # Forked workers find it here.
    chunks = [tasks[at : at + CHUNK] for at in range(0, len(tasks), CHUNK)]
    with get_context("fork").Pool(max(1, threads)) as pool:
        answers = [row for chunk in pool.imap(_chunk, chunks) for row in chunk]
    means = np.stack([mean for mean, _ in answers])
    if answers[0][1] is None:
        return means, None
    return means, np.stack([quantiles for _, quantiles in answers])


def filled(units):
    """From the first known period on, holes interpolated and the end filled forward."""
    known = np.flatnonzero(np.isfinite(units))
    if len(known) == 0:
        return np.zeros(0)
    periods = np.arange(known[0], len(units))
    return np.interp(periods, known, units[known])


def _chunk(tasks):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [_model.forecast(units, scale) for units, scale in tasks]


class _Model:
    """One peer's variant; answers (means, quantiles or None) of one history."""

    def __init__(self, peer, variant, exchange):
        from statsforecast.models import AutoETS, AutoTheta, CrostonOptimized, CrostonSBA

        self.n_ahead, self.levels, self.variant = exchange.n_ahead, exchange.levels, variant
        self.year, self.quarter, season = exchange.year, exchange.quarter, exchange.season
        self.is_naive = peer == "seasonal-naive"
        self.has_intervals = peer in ("auto-ets", "auto-theta")
        self.model = {
            # It fits no season of more than 24 periods, but takes eight times as long to say so.
            "auto-ets": lambda: AutoETS(season_length=season if season <= 24 else 1),
            "auto-theta": lambda: AutoTheta(season_length=season),
            "croston-sba": lambda: CrostonSBA() if variant == "alpha .1" else CrostonOptimized(),
            "seasonal-naive": lambda: None,
        }[peer]()

    def forecast(self, units, scale):
        if self.is_naive:
            return self._seasonal_naive(units, scale), None
        if len(units) < PERIODS_MIN:
            return self._level(units, scale)
        try:
            return self._model_forecast(units, scale)
        except (NotImplementedError, ValueError, IndexError, ZeroDivisionError):
            # What a library cannot fit gets its level.
            return self._level(units, scale)

    def _model_forecast(self, units, scale):
        if not self.has_intervals:
            means = self.model.forecast(y=units, h=self.n_ahead)["mean"]
            return (means, None) if np.isfinite(means).all() else self._level(units, scale)
        is_log = self.variant == "log1p"
        widths = [int(round(100.0 * (1.0 - 2.0 * level))) for level in self.levels if level < 0.499]
        y = np.log1p(units) if is_log else units
        answer = self.model.forecast(y=y, h=self.n_ahead, level=sorted(widths))
        lows = [answer[f"lo-{width}"] for width in widths]
        highs = [answer[f"hi-{width}"] for width in reversed(widths)]
        quantiles = np.stack([*lows, answer["mean"], *highs], axis=1).astype(float)
        quantiles = np.sort(np.expm1(np.minimum(quantiles, 30.0)) if is_log else quantiles, axis=1)
        # No interval may run away: ten times the greatest sale is beyond belief.
        quantiles = np.clip(quantiles, 0.0, 10.0 * max(units.max(), 1e-9))
        means = mean_of_quantiles(quantiles, self.levels) if is_log else np.asarray(answer["mean"])
        means = np.clip(means, 0.0, 10.0 * max(units.max(), 1e-9))
        if not (np.isfinite(quantiles).all() and np.isfinite(means).all()):
            return self._level(units, scale)
        return means, quantiles

    def _seasonal_naive(self, units, scale):
        level = self._recent(units, scale)
        if self.variant == "last value" and len(units):
            level = units[-1]
        steps = np.arange(self.n_ahead)
        then = len(units) + steps - self.year * (steps // self.year + 1)
        return np.array([units[at] if at >= 0 else level for at in then])

    def _recent(self, units, scale):
        return float(units[-self.quarter:].mean()) if len(units) else scale

    def _level(self, units, scale):
        level = self._recent(units, scale)
        means = np.full(self.n_ahead, level)
        if not self.has_intervals:
            return means, None
        return means, np.tile(stats.poisson.ppf(self.levels, level), (self.n_ahead, 1))


def mean_of_quantiles(quantiles, levels):
    """The mean of a distribution given by quantiles: each stands for the levels nearest to it."""
    edges = np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2.0, [1.0]])
    return quantiles @ np.diff(edges)
