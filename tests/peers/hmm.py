"""A left-to-right hidden Markov model as a filter of stages; numpy alone.

States are introduction, growth, maturity, decline and ended, passed in this order. Seen in each
period: how the last month compares with the best so far, with the last quarter, and that with the
quarter before (Gaussians by state, from the soft labels of training rows), and whether anything was
sold: an ended life sells nothing, a living one with the probability that its pace implies (negative
binomial). Transitions are fitted by Baum and Welch's algorithm on what training may know. Neighbouring
periods share most of what is seen, so the Gaussians are tempered; how much, validation decides.

The filter's posterior becomes the label's stage, now and later, by one matrix a horizon: the
probability of each stage given each state, fitted by EM on training rows.
"""

import time

import numpy as np

from exchange import OUTLOOKS, Forecasts
from losses import soft_log_loss

N_STATES = 5
ENDED, DECLINE = 4, 3
TEMPERS = (0.05, 0.1, 0.2, 0.4, 0.8)
N_PERIODS = 104
# Rows that the filter's matrices are fitted on, and rows that are filtered at a time.
TRAIN_ROWS_MAX = 12_000
CHUNK = 8_000
N_EM = 15
N_MATRIX_EM = 100
# Share of the scale that each side of a ratio is padded with: little is learnt from few sales.
PADDING = 0.1
# Dispersion of the negative binomial: Var = mean + mean^2 / DISPERSION.
DISPERSION = 1.0
# A unit sold after the end, for instance a late correction.
SALE_AFTER_END = 1e-4
TINY = 1e-300


def forecast(peer, exchange, options):
    """Stages now and later; null everywhere where no training row has a label."""
    started = time.perf_counter()
    forecasts = Forecasts(exchange.asked())
    train, validation = exchange.part("train"), exchange.part("validation")
    if len(train) > TRAIN_ROWS_MAX:
        train = train.sample(TRAIN_ROWS_MAX, random_state=options.seed, ignore_index=True)
    labels, weights = exchange.stage_targets(train, 0)
    if weights.sum() == 0.0:
        return forecasts, {"parameters": {"labels": "none"}, "validation": {}}
    periods = {52: 1.0, 12: 12.0 / 52.0, 7: 7.0}[exchange.season]
    seen = _Seen(exchange, train, periods)
    gaussians = _gaussians(seen.values[:, -1], labels[:, :4] * weights[:, None])
    of_series = _Seen(exchange, _known_lives(exchange), periods)
    of_validation = _Seen(exchange, validation, periods)
    losses, models = {}, {}
    for temper in TEMPERS:
        model = _Model(gaussians, temper)
        model.fit_transitions(of_series)
        model.fit_matrices(model.filter(seen), exchange, train)
        models[temper] = model
        losses[temper] = model.loss(model.filter(of_validation), exchange, validation)
    temper = min(losses, key=losses.get)
    fitted = time.perf_counter()
    model = models[temper]
    chunks = [forecasts.rows[at : at + CHUNK] for at in range(0, len(forecasts.rows), CHUNK)]
    posterior = np.concatenate([model.filter(_Seen(exchange, rows, periods)) for rows in chunks])
    forecasts.stage_now = _normalised((posterior @ model.matrices[0])[:, :4])
    later = [_normalised(posterior @ matrix) for matrix in model.matrices[1:]]
    forecasts.stages = np.stack(later, axis=1)
    report = {
        "parameters": {"temper": temper, "transitions": model.transitions.round(4).tolist()},
        "validation": {f"temper {temper}": loss for temper, loss in losses.items()},
        "fit_seconds": fitted - started,
        "predict_seconds": time.perf_counter() - fitted,
    }
    return forecasts, report


class _Seen:
    """What the filter sees of each row in each period up to its origin."""

    def __init__(self, exchange, rows, periods):
        units = exchange.recent(rows, N_PERIODS)
        month, quarter = max(1, round(4 * periods)), max(2, round(13 * periods))
        self.is_known = np.isfinite(units)
        self.is_zero = self.is_known & (units == 0.0)
        padding = PADDING * rows["scale"].to_numpy(float)[:, None]
        now, before = _trailing(units, month), _trailing(units, quarter)
        earlier = np.full_like(before, np.nan)
        earlier[:, quarter:] = before[:, :-quarter]
        best = np.fmax.accumulate(_trailing(units, 2 * month), axis=1)
        ratio = lambda a, b: np.nan_to_num(np.log((a + padding) / (b + padding)))
        self.values = np.stack(
            [ratio(now, best), ratio(now, before), ratio(before, earlier)], axis=2
        )
        # The pace before the present silence: the mean of half a year up to the last sale.
        pace = np.where(self.is_zero, np.nan, _trailing(units, 2 * quarter))
        pace = _filled_forward(np.where(self.is_known, pace, np.nan))
        self.silence = (1.0 + np.maximum(np.nan_to_num(pace), 1e-3) / DISPERSION) ** -DISPERSION


class _Model:
    def __init__(self, gaussians, temper):
        self.gaussians, self.temper = gaussians, temper
        self.start = np.array([0.6, 0.2, 0.1, 0.099, 0.001])
        self.transitions = np.triu(np.full((N_STATES, N_STATES), 0.01)) + 0.9 * np.eye(N_STATES)
        self.transitions /= self.transitions.sum(axis=1, keepdims=True)

    def likelihoods(self, seen):
        """Of each state in each period, up to a factor: `[rows, periods, states]`."""
        logs = np.stack([_log_density(seen.values, *g) for g in self.gaussians], axis=2)
        # An ended life looks like one in decline, but for its silence.
        logs = np.concatenate([logs, logs[:, :, DECLINE:]], axis=2) * self.temper
        shapes = np.exp(logs - logs.max(axis=2, keepdims=True))
        sold = np.where(seen.is_zero, seen.silence, 1.0 - seen.silence)[:, :, None]
        sold = np.repeat(sold, N_STATES, axis=2)
        sold[:, :, ENDED] = np.where(seen.is_zero, 1.0, SALE_AFTER_END)
        return np.where(seen.is_known[:, :, None], shapes * sold, 1.0)

    def filter(self, seen):
        """The posterior of the states at each row's origin."""
        return self._forward(self.likelihoods(seen), seen.is_known)[0][:, -1]

    def _forward(self, likelihoods, is_known):
        """Filtered posteriors `[rows, periods, states]`; a life starts with its first known period."""
        n_rows, n_periods, _ = likelihoods.shape
        posteriors = np.zeros_like(likelihoods)
        began = np.maximum.accumulate(is_known, axis=1)
        current = np.tile(self.start, (n_rows, 1))
        for period in range(n_periods):
            moved = current @ self.transitions if period else current
            first = began[:, period] & (True if period == 0 else ~began[:, period - 1])
            moved = np.where((first | ~began[:, period])[:, None], self.start, moved)
            current = _normalised(np.where(
                began[:, period, None], moved * likelihoods[:, period], self.start))
            posteriors[:, period] = current
        return posteriors, began

    def fit_transitions(self, seen):
        """Baum and Welch on the starts and transitions; what lies left of the diagonal stays 0."""
        likelihoods = self.likelihoods(seen)
        for _ in range(N_EM):
            filtered, began = self._forward(likelihoods, seen.is_known)
            moves = np.zeros_like(self.transitions)
            smoothed = filtered[:, -1]
            starts = np.zeros(N_STATES)
            for period in range(filtered.shape[1] - 2, -1, -1):
                lives = began[:, period][:, None]
                predicted = filtered[:, period] @ self.transitions
                ratio = np.where(lives, smoothed / np.maximum(predicted, TINY), 0.0)
                moves += self.transitions * (filtered[:, period].T @ ratio)
                earlier = filtered[:, period] * (ratio @ self.transitions.T)
                starts += np.where(~lives & began[:, period + 1][:, None], smoothed, 0.0).sum(axis=0)
                smoothed = np.where(lives, _normalised(earlier), smoothed)
            starts += smoothed[began[:, 0]].sum(axis=0)
            # One life's worth of what was believed before keeps every probability above zero.
            self.start = (starts + self.start) / (starts.sum() + 1.0)
            self.transitions = _normalised(moves + self.transitions)

    def fit_matrices(self, posterior, exchange, rows):
        """P(stage of the label | state) at each horizon, by EM over rows."""
        self.matrices = []
        for ahead in (0, *OUTLOOKS):
            labels, weights = exchange.stage_targets(rows, ahead)
            matrix = np.full((N_STATES, N_STATES), 0.05) + 0.75 * np.eye(N_STATES)
            for _ in range(N_MATRIX_EM if weights.sum() > 0.0 else 0):
                mixed = np.maximum(posterior @ matrix, TINY)
                counts = matrix * (posterior.T @ (weights[:, None] * labels / mixed))
                matrix = _normalised(counts + 1e-3)
            self.matrices.append(matrix)

    def loss(self, posterior, exchange, rows):
        """Mean log loss over the horizons that have labels."""
        losses = []
        for ahead, matrix in zip((0, *OUTLOOKS), self.matrices):
            labels, weights = exchange.stage_targets(rows, ahead)
            if weights.sum() > 0.0:
                losses.append(soft_log_loss(_normalised(posterior @ matrix), labels, weights))
        return float(np.mean(losses)) if losses else 0.0


def _known_lives(exchange):
    """Each seen series at the last period that training targets may reach, as rows."""
    rows = exchange.part("train").drop_duplicates("series", keep="last")
    rows = rows.sample(min(len(rows), 2_000), random_state=0)
    eight_weeks = {52: 8, 12: 2, 7: 56}[exchange.season]
    return rows.assign(origin=exchange.last_known_period - eight_weeks).reset_index(drop=True)


def _gaussians(values, weights):
    """Mean and covariance by living state, weighed by the labels."""
    gaussians = []
    for state in range(4):
        weight = weights[:, state] / max(weights[:, state].sum(), 1e-9)
        mean = weight @ values
        centred = values - mean
        covariance = (weight[:, None] * centred).T @ centred + 0.01 * np.eye(values.shape[1])
        gaussians.append((mean, covariance))
    return gaussians


def _log_density(values, mean, covariance):
    centred = values - mean
    inverse = np.linalg.inv(covariance)
    distance = np.einsum("rpi,ij,rpj->rp", centred, inverse, centred)
    return -0.5 * (distance + np.linalg.slogdet(covariance)[1])


def _trailing(units, window):
    """Means of the known ones of the last `window` periods; NaN where none is."""
    known = np.isfinite(units)
    sums = np.cumsum(np.where(known, units, 0.0), axis=1)
    counts = np.cumsum(known, axis=1).astype(float)
    late = lambda total: np.pad(total[:, :-window], ((0, 0), (window, 0)))
    with np.errstate(all="ignore"):
        return (sums - late(sums)) / (counts - late(counts))


def _filled_forward(values):
    """Each NaN becomes the last number before it."""
    place = np.where(np.isfinite(values), np.arange(values.shape[1]), 0)
    place = np.maximum.accumulate(place, axis=1)
    return np.take_along_axis(values, place, axis=1)


def _normalised(values):
    values = np.maximum(values, TINY)
    return values / values.sum(axis=-1, keepdims=True)
