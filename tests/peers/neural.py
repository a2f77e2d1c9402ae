"""PatchTST (Nie et al. 2023) and TFT (Lim et al. 2021) of neuralforecast, trained in-domain.

Trained on what training targets may reach, of seen products; stopped and kept at the best validation
loss, on the weeks between there and the cut. Two variants, units and their log1p, share the time that
ours has; the better on validation rows forecasts. The time is turned into a fixed number of steps, so
that a seed always gives the same forecasts; `seconds` in peer.json says what it took here.

Every (series, origin) is predicted as a series of its own, in one pass, from the periods known at its
origin. Masked periods are interpolated and named by `available_mask`.
"""

import logging
import os
import time
import warnings

import numpy as np
import pandas as pd
from scipy import stats

from exchange import Forecasts
from losses import wql
from statistical import filled, mean_of_quantiles

# Steps that two cores of 2026 train in a minute.
STEPS_PER_MINUTE = {"patchtst": 260, "tft": 150}
VALIDATIONS = 10
PATIENCE = 4
WINDOWS = 256
CATEGORIES_MAX = 8
VARIANTS = ("units", "log1p")
FUTURE = ["season_sin", "season_cos", "age"]
# No quantile may be further beyond all that was sold.
BEYOND = 10.0


def forecast(peer, exchange, options):
    """Units of all rows that are asked."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    warnings.simplefilter("ignore")
    import torch

    for name in ("pytorch_lightning", "lightning_fabric", "neuralforecast", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    torch.set_num_threads(max(1, options.threads))
    torch.use_deterministic_algorithms(True)
    started = time.perf_counter()
    steps = max(VALIDATIONS, int(STEPS_PER_MINUTE[peer] * options.minutes / len(VARIANTS)))
    judged = exchange.part("validation")
    units = exchange.targets(judged) * judged["scale"].to_numpy(float)[:, None]
    losses, networks = {}, {}
    for variant in VARIANTS:
        network = _Network(peer, variant, exchange, steps, options.seed)
        network.fit()
        networks[variant] = network
        losses[variant] = wql(network.predict(judged), units, exchange.levels)
    variant = min(losses, key=losses.get)
    fitted = time.perf_counter()
    forecasts = Forecasts(exchange.asked())
    forecasts.quantiles = networks[variant].predict(forecasts.rows)
    forecasts.means = mean_of_quantiles(forecasts.quantiles, exchange.levels)
    trained = {name: network.best_step for name, network in networks.items()}
    report = {
        "parameters": {"variant": variant, "steps_max": steps, "best_step": trained,
                       "minutes": options.minutes, "input_size": networks[variant].n_input},
        "validation": {f"{name}: wql": loss for name, loss in losses.items()},
        "fit_seconds": fitted - started,
        "predict_seconds": time.perf_counter() - fitted,
    }
    return forecasts, report


class _Network:
    """One variant of one network, with the frames it reads."""

    def __init__(self, peer, variant, exchange, steps, seed):
        self.exchange, self.is_log = exchange, variant == "log1p"
        self.n_input = {52: 52, 12: 24, 7: 112}[exchange.season]
        self.eight_weeks = {52: 8, 12: 2, 7: 56}[exchange.season]
        self.has_exogenous = peer == "tft"
        categories = pd.Series([str(h.category) for h in exchange.histories.values()])
        self.categories = categories.value_counts().sort_index(kind="stable")
        self.categories = list(self.categories.nlargest(CATEGORIES_MAX).index)
        self.static = [f"category_{at}" for at in range(len(self.categories))]
        self.best_step = 0
        self.model = self._model(peer, steps, seed)

    def _model(self, peer, steps, seed):
        from neuralforecast import NeuralForecast
        from neuralforecast.losses.pytorch import MQLoss
        from neuralforecast.models import TFT, PatchTST

        check = max(1, steps // VALIDATIONS)
        settings = {
            "h": self.exchange.n_ahead, "input_size": self.n_input, "max_steps": steps,
            "loss": MQLoss(quantiles=self.exchange.levels.tolist()), "scaler_type": "standard",
            "start_padding_enabled": True, "random_seed": seed, "batch_size": 128,
            "windows_batch_size": WINDOWS, "inference_windows_batch_size": 2048,
            "valid_batch_size": 1024, "learning_rate": 1e-3, "num_lr_decays": 3,
            "early_stop_patience_steps": PATIENCE, "val_check_steps": check,
            "callbacks": [_keeper()], "accelerator": "cpu", "devices": 1, "logger": False,
            "enable_progress_bar": False, "enable_model_summary": False,
            "enable_checkpointing": False,
        }
        if peer == "patchtst":
            network = PatchTST(hidden_size=64, n_heads=4, linear_hidden_size=128, patch_len=8,
                               stride=4, revin=False, **settings)
        else:
            network = TFT(hidden_size=48, n_head=4, futr_exog_list=FUTURE,
                          stat_exog_list=self.static, **settings)
        return NeuralForecast(models=[network], freq=1)

    def fit(self):
        """Trains up to eight weeks before the cut; the weeks up to the cut validate."""
        exchange = self.exchange
        last = exchange.last_known_period
        trained = last - self.eight_weeks
        # As known at the cut, of seen products that had begun.
        rows = [
            (series, history) for series, history in exchange.histories.items()
            if not history.is_unseen and history.start <= trained - 1
        ]
        n_past = trained - min(history.start for _, history in rows) + 1
        table = pd.DataFrame({"series": [series for series, _ in rows], "origin": last})
        units = exchange.recent(table, n_past + self.eight_weeks)
        later = np.full((len(units), exchange.n_ahead - self.eight_weeks), np.nan)
        units = np.concatenate([units, later], axis=1)
        is_known = np.isfinite(units[:, :n_past]).any(axis=1)
        table, units = table[is_known].reset_index(drop=True), units[is_known]
        frame = self._frame(table, units, np.full(len(table), trained - n_past + 1))
        is_past = frame["ds"] < n_past
        # A series begins with its own first period.
        begun = self._begins(units)[frame["row"].to_numpy()] <= frame["ds"].to_numpy()
        columns = [name for name in frame.columns if name != "row"]
        past = frame.loc[is_past & begun, columns]
        future = frame.loc[~is_past, columns]
        self.model.fit(past, static_df=self._statics(table), val_df=future)
        # The library trains a copy of what it was given.
        callbacks = self.model.models[0].trainer_kwargs["callbacks"]
        self.best_step = max(getattr(callback, "best_step", 0) for callback in callbacks)

    def predict(self, rows):
        """Quantiles `[rows, n_ahead, levels]` in units."""
        exchange = self.exchange
        units = exchange.recent(rows, self.n_input)
        started = rows["origin"].to_numpy(int) - self.n_input + 1
        frame = self._frame(rows, units, started)
        later = None
        if self.has_exogenous:
            later = self._frame(rows, np.full((len(rows), exchange.n_ahead), np.nan),
                                started + self.n_input)
            later["ds"] += self.n_input
            later = later[["unique_id", "ds", *FUTURE]]
        answer = self.model.predict(frame.drop(columns="row"), futr_df=later,
                                    static_df=self._statics(rows))
        answer = answer.sort_values(["unique_id", "ds"], kind="stable")
        names = [name for name in answer.columns if name not in ("unique_id", "ds")]
        quantiles = answer[names].to_numpy(float)
        quantiles = quantiles.reshape(len(rows), exchange.n_ahead, len(exchange.levels))
        if self.is_log:
            quantiles = np.expm1(np.minimum(quantiles, 30.0))
        return self._believable(np.sort(quantiles, axis=2), units, rows)

    def _believable(self, quantiles, units, rows):
        """Within bounds; who has no known period sells as the scale says, with Poisson noise."""
        known = np.isfinite(units)
        greatest = np.where(known, units, 0.0).max(axis=1)
        scales = rows["scale"].to_numpy(float)
        limit = BEYOND * np.maximum(greatest, scales)
        quantiles = np.clip(np.nan_to_num(quantiles), 0.0, limit[:, None, None])
        poisson = stats.poisson.ppf(self.exchange.levels[None], scales[:, None])
        quantiles[~known.any(axis=1)] = poisson[~known.any(axis=1)][:, None, :]
        return quantiles

    def _frame(self, rows, units, started):
        """Long form; series are numbered, periods count from 0."""
        n_rows, n_periods = units.shape
        values = np.zeros_like(units)
        for at, row in enumerate(units):
            known = filled(row)
            values[at, n_periods - len(known):] = known
        periods = started[:, None] + np.arange(n_periods)
        frame = pd.DataFrame({
            "unique_id": np.repeat(np.arange(n_rows), n_periods),
            "ds": np.tile(np.arange(n_periods), n_rows),
            "y": (np.log1p(values) if self.is_log else values).ravel(),
            "available_mask": np.isfinite(units).astype(float).ravel(),
            "row": np.repeat(np.arange(n_rows), n_periods),
        })
        if self.has_exogenous:
            per_year = {52: 365.25 / 7.0, 12: 12.0, 7: 365.25}[self.exchange.season]
            angle = 2.0 * np.pi * periods.ravel() / per_year
            starts = [self.exchange.histories[series].start for series in rows["series"]]
            age = np.maximum(periods - np.array(starts)[:, None], 0) * (52.0 / per_year)
            frame["season_sin"], frame["season_cos"] = np.sin(angle), np.cos(angle)
            frame["age"] = np.log1p(age).ravel() / 5.0
        return frame

    def _begins(self, units):
        known = np.isfinite(units)
        return np.where(known.any(axis=1), known.argmax(axis=1), units.shape[1])

    def _statics(self, rows):
        if not self.has_exogenous:
            return None
        own = np.array([str(self.exchange.histories[series].category) for series in rows["series"]])
        columns = {name: (own == category).astype(float)
                   for name, category in zip(self.static, self.categories)}
        return pd.DataFrame({"unique_id": np.arange(len(rows)), **columns})


def _keeper():
    """A callback that puts back, at the end, the weights of the best validation."""
    from pytorch_lightning.callbacks import Callback

    class KeepBest(Callback):
        def __init__(self):
            self.best_loss, self.best_step, self.weights = float("inf"), 0, None

        def on_validation_end(self, trainer, module):
            loss = float(trainer.callback_metrics.get("ptl/val_loss", float("inf")))
            if loss < self.best_loss:
                self.best_loss, self.best_step = loss, trainer.global_step
                state = module.state_dict()
                self.weights = {name: value.clone() for name, value in state.items()}

        def on_train_end(self, trainer, module):
            if self.weights is not None:
                module.load_state_dict(self.weights)

    return KeepBest()
