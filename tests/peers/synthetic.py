"""A small exchange with made-up lives, of the same shape as a real one: for `test_peers.py`."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

LEVELS = [0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99]
OUTLOOKS = (4, 13, 26)
N_PERIODS, CUT, STEP, HORIZON, N_AHEAD, N_RECENT = 120, 86, 3, 13, 26, 52
STATICS = ("log_scale", "log_age", "trend_13")
ADVANCE = ("season_sin", "continuation")


def write(folder, n_products=60, seed=7, scrambled_after=None):
    """Writes the exchange; with `scrambled_after`, all that happened later is something else."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lives = [_Life(number, np.random.default_rng([seed, number])) for number in range(n_products)]
    if scrambled_after is not None:
        for life in lives:
            life.scramble(scrambled_after)
    origins = list(range(CUT - 1, N_PERIODS, STEP))
    (folder / "meta.json").write_text(json.dumps(_meta(origins)))
    pd.concat([life.history() for life in lives]).to_parquet(folder / "history.parquet")
    pd.DataFrame({
        "series": ["p0"], "product": ["p0"], "location": [None],
        "period": [CUT - 5], "known": [CUT + 1], "change": [-3.0],
    }).to_parquet(folder / "corrections.parquet")
    rows = [row for life in lives for row in life.rows(origins)]
    pd.DataFrame(rows).to_parquet(folder / "rows.parquet")


def _meta(origins):
    return {
        "set": "synthetic", "frequency": "week", "season_periods": 52, "horizon": HORIZON,
        "n_ahead": N_AHEAD, "levels": LEVELS, "outlook_steps": list(OUTLOOKS), "first_period": 0,
        "last_period": N_PERIODS - 1, "cut": CUT, "last_known_period": CUT - 1,
        "test_origins": origins, "validation_origins": [CUT - 5, CUT - 2],
        "static_inputs": list(STATICS), "horizon_inputs": list(ADVANCE),
        "context_inputs": ["units"], "n_recent": N_RECENT,
    }


class _Life:
    """A product that grows, stays and declines, at random times."""

    def __init__(self, number, random):
        self.name, self.category = f"p{number}", f"c{number % 3}"
        self.is_unseen = number % 4 == 3
        self.start = int(random.integers(0, 40))
        ends = np.cumsum([0, *random.integers(4, 30, size=3)])
        age = np.arange(N_PERIODS - self.start)
        self.stage = np.searchsorted(ends[1:], age, side="right").clip(0, 3)
        growth = np.clip((age + 1) / max(ends[2], 1), 0.1, 1.0)
        decline = np.clip(1.0 - (age - ends[3]) / 30.0, 0.0, 1.0)
        mean = random.gamma(2.0, 4.0) * np.where(age < ends[3], growth, decline)
        self.units = random.poisson(mean).astype(float)
        self.units[random.random(len(age)) < 0.03] = np.nan

    def scramble(self, after):
        later = np.arange(len(self.units)) + self.start > after
        self.units[later] = (self.units[later] * 7.0 + 11.0)[::-1]

    def history(self):
        n = len(self.units)
        return pd.DataFrame({
            "series": self.name, "product": self.name, "location": [None] * n,
            "category": self.category, "unseen": self.is_unseen,
            "period": np.arange(n, dtype=np.int32) + self.start, "units": self.units,
            "price": 2.0, "promotion": np.full(n, np.nan),
        })

    def rows(self, origins):
        if not self.is_unseen:
            for origin in range(self.start + 13, CUT - 2):
                part = "train" if origin % 5 else "validation"
                yield self.row(origin, part)
            for origin in (CUT - 5, CUT - 2):
                yield self.row(origin, "fit")
        for origin in origins:
            yield self.row(origin, "test")

    def row(self, origin, part):
        at = origin - self.start
        known = self.units[: at + 1]
        scale = max(float(np.nanmean(known[-26:])), 0.1)
        trend = np.log((np.nanmean(known[-4:]) + 0.5) / (np.nanmean(known[-13:]) + 0.5))
        statics = [np.log(scale), np.log1p(at), trend]
        row = {
            "series": self.name, "product": self.name, "location": None, "origin": origin,
            "part": part, "unseen": self.is_unseen, "scale": scale, "age": at + 1,
            "cold_start": False, "far_from_training": False, "unit_weight": 1.0,
        }
        row |= {f"x_{name}": value for name, value in zip(STATICS, statics)}
        recent = np.concatenate([np.full(N_RECENT, np.nan), known])[::-1]
        row |= {f"u_{lag + 1}": np.arcsinh(recent[lag] / scale) for lag in range(N_RECENT)}
        for step in range(1, HORIZON + 1):
            row[f"h_{step}_season_sin"] = np.sin(2.0 * np.pi * (origin + step) / 52.18)
            row[f"h_{step}_continuation"] = 0.9
        guess = np.array([0.1, 0.2, 0.3, 0.4]) if trend < 0 else np.array([0.2, 0.4, 0.3, 0.1])
        row |= {f"f_now_{stage}": guess[stage] for stage in range(4)}
        for weeks in OUTLOOKS:
            row |= {f"f_{weeks}_{stage}": p for stage, p in enumerate([*(0.9 * guess), 0.1])}
        row |= {f"f_units_{step}": 1.0 for step in range(1, N_AHEAD + 1)}
        return row | self._targets(origin, part, scale)

    def _targets(self, origin, part, scale):
        at, limit = origin - self.start, CUT - (9 if part == "train" else 1)
        learns = part in ("train", "validation")
        targets = {}
        for step in range(1, N_AHEAD + 1):
            is_known = learns and origin + step <= limit
            targets[f"y_{step}"] = self.units[at + step] / scale if is_known else np.nan
        before = np.nanmean(self.units[max(0, at - 12) : at + 1])
        for weeks in OUTLOOKS:
            after = self.units[at + weeks - min(weeks, 13) + 1 : at + weeks + 1]
            is_known = learns and origin + weeks <= limit and np.isfinite(after).any()
            targets[f"t_{weeks}"] = _turn(before, np.nanmean(after)) if is_known else np.nan
        for weeks in (0, *OUTLOOKS):
            is_known = learns and origin + weeks <= limit
            for stage in range(5):
                known = float(self.stage[at + weeks] == stage) if is_known else np.nan
                targets[f"s_{weeks}_{stage}"] = known
            targets[f"w_{weeks}"] = 1.0 if is_known else np.nan
        return targets


def _turn(before, after):
    if after == 0.0:
        return 0.0
    return 1.0 if after <= before / 2.0 else 3.0 if after >= 2.0 * before else 2.0
