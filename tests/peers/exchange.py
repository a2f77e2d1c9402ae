"""The exchange folder that `cargo xtask bench` writes for peers, and the forecasts they write back.

Here alone a history is cut: `History.known` and `Exchange.recent` show what was known at an origin
and nothing later. A peer that reads units in any other way looks ahead.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

OUTLOOKS = (4, 13, 26)
N_STAGES = 5
# By series, by origin, and training before validation where both have the row.
ORDER = ["product", "location", "origin", "part"]


class History:
    """One series by period, as finally known, with the corrections that came late."""

    def __init__(self, frame, corrections):
        self.category = frame["category"].iloc[0]
        self.is_unseen = bool(frame["unseen"].iloc[0])
        self.start = int(frame["period"].iloc[0])
        n_periods = int(frame["period"].iloc[-1]) - self.start + 1
        index = frame["period"].to_numpy() - self.start
        self.units = _by_period(frame["units"], index, n_periods)
        self.price = _by_period(frame["price"], index, n_periods)
        self.promotion = _by_period(frame["promotion"], index, n_periods)
        self.corrections = corrections

    def known(self, origin):
        """Units from the first period to the origin as known then; NaN where masked."""
        units = self.units[: max(0, origin - self.start + 1)].copy()
        for period, known, change in self.corrections:
            if known > origin and 0 <= period - self.start < len(units):
                index = period - self.start
                units[index] = max(0.0, units[index] - change)
        return units


class Exchange:
    """All of a set that peers may see."""

    def __init__(self, folder):
        folder = Path(folder)
        self._categories = None
        self.meta = json.loads((folder / "meta.json").read_text())
        self.horizon = int(self.meta["horizon"])
        self.n_ahead = int(self.meta["n_ahead"])
        self.season = int(self.meta["season_periods"])
        self.levels = np.array(self.meta["levels"], dtype=float)
        self.outlook_steps = [int(step) for step in self.meta["outlook_steps"]]
        self.year, self.quarter = {52: (52, 13), 12: (12, 3), 7: (364, 91)}[self.season]
        self.last_known_period = int(self.meta["last_known_period"])
        self.test_origins = [int(origin) for origin in self.meta["test_origins"]]
        rows = pd.read_parquet(folder / "rows.parquet")
        self.rows = rows.sort_values(ORDER, kind="stable", ignore_index=True)
        history = pd.read_parquet(folder / "history.parquet")
        late = pd.read_parquet(folder / "corrections.parquet")
        corrections = {
            series: list(zip(part["period"], part["known"], part["change"]))
            for series, part in late.groupby("series", sort=True)
        }
        ordered = history.sort_values(["series", "period"], kind="stable")
        self.histories = {
            series: History(part, corrections.get(series, []))
            for series, part in ordered.groupby("series", sort=True)
        }

    def part(self, *parts):
        """Rows of these parts."""
        return self.rows[self.rows["part"].isin(parts)].reset_index(drop=True)

    def asked(self):
        """The rows that every peer forecasts: all that are not for training, once each."""
        rows = self.rows[self.rows["part"] != "train"]
        return rows.drop_duplicates(["series", "origin"]).reset_index(drop=True)

    def recent(self, rows, n_periods, channel="units"):
        """The last periods up to each row's origin, latest last, NaN where unknown: `[rows, n]`."""
        recent = np.full((len(rows), n_periods), np.nan)
        for at, (series, origin) in enumerate(zip(rows["series"], rows["origin"])):
            history = self.histories[series]
            if channel == "units":
                values = history.known(int(origin))
            else:
                values = getattr(history, channel)[: max(0, int(origin) - history.start + 1)]
            # A history that ends before the origin is unknown from there on.
            gap = int(origin) - (history.start + len(values) - 1)
            values = np.concatenate([values, np.full(max(0, gap), np.nan)])[-n_periods:]
            if len(values):
                recent[at, n_periods - len(values):] = values
        return recent

    def recent_of_category(self, rows, n_periods):
        """Units of each row's share category as known at its origin, latest last: `[rows, n]`."""
        recent = np.full((len(rows), n_periods), np.nan)
        known = {}
        for at, (series, origin) in enumerate(zip(rows["series"], rows["origin"])):
            key = (self.histories[series].category, int(origin))
            if key not in known:
                known[key] = self._category_known(*key)[-n_periods:]
            values = known[key]
            recent[at, n_periods - len(values):] = values
        return recent

    def _category_known(self, category, origin):
        """Sums over the category's series, from the panel's first period to the origin."""
        first = int(self.meta["first_period"])
        if self._categories is None:
            self._categories = {}
            for history in self.histories.values():
                self._categories.setdefault(history.category, []).append(history)
        total = np.zeros(origin - first + 1)
        for history in self._categories[category]:
            units = history.known(origin)
            start = history.start - first
            total[start : start + len(units)] += np.nan_to_num(units)
        return total

    def columns(self, rows, *prefixes):
        """The numeric columns that start so, as 32-bit floats."""
        names = [name for name in rows.columns if name.startswith(prefixes)]
        return rows[names].to_numpy(np.float32)

    def targets(self, rows):
        """Units over scale by step, NaN where unknown: `[rows, steps]`."""
        n_steps = sum(f"y_{step}" in rows.columns for step in range(1, self.n_ahead + 1))
        return rows[[f"y_{step}" for step in range(1, n_steps + 1)]].to_numpy(float)

    def stage_targets(self, rows, ahead):
        """Label probabilities `[rows, 5]` and weights; weight 0 where there is no label."""
        names = [f"s_{ahead}_{stage}" for stage in range(N_STAGES)]
        if not set(names) <= set(rows.columns):
            return np.zeros((len(rows), N_STAGES)), np.zeros(len(rows))
        labels = rows[names].to_numpy(float)
        weights = rows[f"w_{ahead}"].to_numpy(float)
        is_known = np.isfinite(labels).all(axis=1) & np.isfinite(weights)
        return np.where(is_known[:, None], labels, 0.0), np.where(is_known, weights, 0.0)


class Forecasts:
    """What a peer says of each row that is asked; what it does not give stays None."""

    def __init__(self, rows):
        self.rows = rows
        self.means = None  # [rows, n_ahead]
        self.quantiles = None  # [rows, n_ahead, levels]
        self.stage_now = None  # [rows, 4]
        self.turns = None  # [rows, 3, 3]: halved, doubled, silent
        self.stages = None  # [rows, 3, 5]

    def write(self, folder):
        """Writes the table of `tables::Forecast`, sorted by (series, origin)."""
        rows = self.rows
        if self.quantiles is not None:
            # Rearranged quantiles do not cross (Chernozhukov et al. 2010).
            self.quantiles = np.sort(np.maximum(self.quantiles, 0.0), axis=2)
        if self.means is not None:
            self.means = np.maximum(self.means, 0.0)
        now = None
        if self.stage_now is not None:
            now = np.pad(_normalised(self.stage_now), ((0, 0), (0, 1)))
        stages = None if self.stages is None else _normalised(self.stages)
        none = pa.nulls(len(rows), pa.list_(pa.float32()))
        table = pa.table({
            "product": pa.array(rows["product"].astype(str), pa.string()),
            "location": pa.array(rows["location"].astype(object), pa.string(), from_pandas=True),
            "origin": pa.array(rows["origin"].to_numpy(np.int32), pa.int32()),
            "means": _lists(self.means, none),
            "quantiles": _lists(self.quantiles, none),
            "cumulative_quantiles": none,
            "stage_now": _lists(now, none),
            "turns": _lists(self.turns, none, partial=True),
            "stages": _lists(stages, none, partial=True),
            "cold_start": pa.array(rows["cold_start"].to_numpy(bool), pa.bool_()),
            "far_from_training": pa.array(rows["far_from_training"].to_numpy(bool), pa.bool_()),
        })
        parts = Path(folder) / "forecasts"
        parts.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, parts / "part-000.parquet", compression="zstd")


def read_forecasts(folder, rows, exchange):
    """The forecasts that a peer wrote, in the order of `rows`."""
    table = pd.read_parquet(Path(folder) / "forecasts" / "part-000.parquet")
    place = {key: at for at, key in enumerate(_keys(table))}
    keys = _keys(rows)
    missing = [key for key in keys if key not in place]
    if missing:
        raise SystemExit(f"{folder}: no forecast of {missing[0]}; make the peer's output anew")
    order = [place[key] for key in keys]
    n_levels = len(exchange.levels)
    forecasts = Forecasts(rows)
    forecasts.means = _stacked(table["means"], order, (exchange.n_ahead,))
    forecasts.quantiles = _stacked(table["quantiles"], order, (exchange.n_ahead, n_levels))
    forecasts.stage_now = _stacked(table["stage_now"], order, (N_STAGES,))
    if forecasts.stage_now is not None:
        forecasts.stage_now = forecasts.stage_now[:, :4]
    forecasts.turns = _stacked(table["turns"], order, (3, 3))
    forecasts.stages = _stacked(table["stages"], order, (3, N_STAGES))
    return forecasts


def turns_of_classes(classes):
    """Probabilities of halved, doubled, silent from those of silent, halved, neither, doubled."""
    silent, halved, _, doubled = np.moveaxis(classes, -1, 0)
    return np.stack([np.minimum(silent + halved, 1.0), doubled, silent], axis=-1)


def classes_of_turns(turns):
    """The inverse of `turns_of_classes`."""
    halved, doubled, silent = np.moveaxis(turns, -1, 0)
    neither = np.maximum(1.0 - halved - doubled, 0.0)
    return np.stack([silent, np.maximum(halved - silent, 0.0), neither, doubled], axis=-1)


def _keys(frame):
    """(product, location, origin) of each row."""
    location = frame["location"].astype(object).where(frame["location"].notna(), None)
    return list(zip(frame["product"], location, frame["origin"]))


def _by_period(values, index, n_periods):
    by_period = np.full(n_periods, np.nan)
    by_period[index] = values.to_numpy(float)
    return by_period


def _normalised(probabilities):
    clipped = np.clip(probabilities.astype(float), 0.0, None)
    return clipped / clipped.sum(axis=-1, keepdims=True)


def _lists(values, none, partial=False):
    """A column of lists; a row is null where a value is missing (with `partial`: where all are)."""
    if values is None:
        return none
    flat = values.reshape(len(values), -1).astype(np.float32)
    missing = np.isnan(flat).all(axis=1) if partial else np.isnan(flat).any(axis=1)
    width = flat.shape[1]
    offsets = np.arange(0, flat.size + 1, width, dtype=np.int32)
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(flat.ravel(), pa.float32()), mask=pa.array(missing)
    )


def _stacked(lists, order, shape):
    """Lists as an array with NaN for a null one; None where all are null."""
    lists = lists.to_numpy()
    if all(lists[at] is None for at in order):
        return None
    values = np.full((len(order), int(np.prod(shape))), np.nan)
    for row, at in enumerate(order):
        if lists[at] is not None:
            values[row] = lists[at]
    return values.reshape(len(order), *shape)
