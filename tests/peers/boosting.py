"""What both LightGBM peers share: parameters that are tried, training with early stopping, quantiles.

Trees are grown on training targets, stopped and chosen on validation targets. The final models of a
target are averaged over a few bags with seeds of their own.
"""

import lightgbm
import numpy as np

from losses import WQL_LEVELS, pinball, soft_log_loss

# The grid of trees: (num_leaves, min_data_in_leaf, learning_rate, feature_fraction, lambda_l2).
TREES = (
    (31, 200, 0.10, 0.5, 5.0),
    (15, 100, 0.10, 0.5, 5.0),
    (31, 600, 0.08, 0.3, 20.0),
    (63, 200, 0.08, 0.3, 20.0),
)
# Units: (power of the scale that weighs a row, whether trees see log1p of the units over scale).
TARGETS = ((0.5, False), (0.5, True), (1.0, False), (1.0, True), (0.0, False))
TUNING_LEVELS = (3, 6, 10)  # positions of .2, .5 and .9
STOPPING = 20
ROUNDS_MAX = 200
CLASS_ROUNDS_MAX = 500
BINNING = {"max_bin": 63, "feature_pre_filter": False, "verbosity": -1}


def tree_parameters(trees, threads, seed):
    """LightGBM's parameters of one entry of `TREES`; the same trees on any number of threads."""
    leaves, least, rate, share, ridge = trees
    return BINNING | {
        "num_leaves": leaves,
        "min_data_in_leaf": least,
        "learning_rate": rate,
        "feature_fraction": share,
        "lambda_l2": ridge,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "num_threads": threads,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
    }


class Datasets:
    """A training and a validation table, (inputs, targets, weights) each, binned once for all fits."""

    def __init__(self, train, validation):
        build = lambda table, **more: lightgbm.Dataset(
            table[0], table[1], weight=table[2], params=BINNING, free_raw_data=False, **more
        )
        self.train = build(train)
        self.validation = build(validation, reference=self.train)
        self.has_validation = len(validation[1]) > 0

    def fit(self, parameters, rounds_max=ROUNDS_MAX, feval=None):
        """A booster, stopped where validation no longer improves; and its loss there."""
        if not self.has_validation:
            return lightgbm.train(parameters, self.train, num_boost_round=100), float("nan")
        booster = lightgbm.train(
            parameters,
            self.train,
            num_boost_round=rounds_max,
            valid_sets=[self.validation],
            feval=feval,
            callbacks=[lightgbm.early_stopping(STOPPING, verbose=False)],
        )
        (losses,) = booster.best_score.values()
        return booster, float(next(iter(losses.values())))


class Classes:
    """Class probabilities learnt from labels that are probabilities themselves, with weights.

    The loss is their cross-entropy; gradients and curvature are those of LightGBM's multiclass
    objective, with the label's probability in the place of 0 or 1.
    """

    def __init__(self, train, validation):
        (inputs, labels, weights), (_, judged, judged_weights) = train, validation
        self.labels, self.weights = labels, weights / weights.mean()
        self.judged, self.judged_weights = judged, judged_weights
        prior = (labels * weights[:, None]).sum(axis=0) + 1.0
        self.prior = np.log(prior / prior.sum())
        plain = lambda table: (table[0], np.zeros(len(table[0])), None)
        self.datasets = Datasets(plain((inputs,)), plain(validation))

    def fit(self, parameters):
        """A booster of margins above the prior's, and its validation loss."""
        parameters = parameters | {
            # A function, since LightGBM copies its parameters deeply.
            "objective": lambda margins, dataset: self._slopes(margins),
            "num_class": len(self.prior),
            "metric": "None",
            "boost_from_average": False,
        }
        return self.datasets.fit(parameters, CLASS_ROUNDS_MAX, self._loss)

    def probabilities(self, booster, inputs, threads):
        """Of each class: `[rows, classes]`."""
        return self._softmax(booster.predict(inputs, raw_score=True, num_threads=threads))

    def _softmax(self, margins):
        margins = margins.reshape(-1, len(self.prior)) + self.prior
        powers = np.exp(margins - margins.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def _slopes(self, margins):
        classes = self._softmax(margins)
        n_classes = classes.shape[1]
        weights = self.weights[:, None]
        curvature = n_classes / (n_classes - 1.0) * classes * (1.0 - classes)
        return weights * (classes - self.labels), np.maximum(weights * curvature, 1e-6)

    def _loss(self, margins, dataset):
        loss = soft_log_loss(self._softmax(margins), self.judged, self.judged_weights)
        return "log loss", loss, False


class Units:
    """Quantiles and means of units over scale, from pairs of a row and a step.

    `train` and `validation` give (inputs, units over scale, scales) of at most as many pairs as asked.
    """

    def __init__(self, train, validation, levels, options):
        self.levels, self.options = levels, options
        self.train, self.validation = train, validation
        self.report = {}

    def tune(self, n_pairs):
        """Chooses targets, then trees, by the pinball losses in units of some levels."""
        train = tuple(part[:n_pairs] for part in self.train)
        self.choice = (TARGETS[0], TREES[0])
        if len(self.validation[1]) == 0:
            return
        losses = {}
        for target in TARGETS:
            losses[(target, TREES[0])] = self._loss(train, target, TREES[0])
        target = min(losses, key=losses.get)[0]
        for trees in TREES[1:]:
            losses[(target, trees)] = self._loss(train, target, trees)
        self.choice = min(losses, key=losses.get)
        self.report = {str(variant): loss for variant, loss in losses.items()}

    def _loss(self, train, target, trees):
        inputs, units, scales = self.validation
        datasets = self._datasets(train, target)
        total = 0.0
        for at in TUNING_LEVELS:
            booster = datasets.fit(self._quantile(trees, at))[0]
            quantile = self._units(booster.predict(inputs), target)[:, None]
            level = self.levels[at : at + 1]
            total += float((scales[:, None] * pinball(quantile, units, level)).sum())
        return 2.0 * total / len(TUNING_LEVELS) / max(float((scales * units).sum()), 1e-12)

    def fit(self):
        """One booster a level and one for the mean, with what `tune` chose."""
        target, trees = self.choice
        datasets = self._datasets(self.train, target)
        self.boosters = [
            datasets.fit(self._quantile(trees, at))[0] for at in range(len(self.levels))
        ]
        power, _ = target
        means = self._datasets(self.train, (power, False))
        parameters = self._parameters(trees)
        candidates = {
            "regression": parameters | {"objective": "regression"},
            "tweedie": parameters | {"objective": "tweedie", "tweedie_variance_power": 1.3},
        }
        fitted = {name: means.fit(candidate)[0] for name, candidate in candidates.items()}
        inputs, units, scales = self.validation
        weights = scales**power
        errors = {
            name: float((weights * (booster.predict(inputs) - units) ** 2).sum())
            for name, booster in fitted.items()
        }
        chosen = min(errors, key=errors.get) if len(units) else "tweedie"
        self.mean = fitted[chosen]
        self.report |= {f"mean, {name}": error / max(len(units), 1) for name, error in errors.items()}
        self.parameters = {"scale_power": power, "log1p": target[1], "trees": trees, "mean": chosen}

    def predict(self, inputs):
        """Means `[pairs]` and quantiles `[pairs, levels]`, in multiples of scale."""
        quantiles = [
            self._units(booster.predict(inputs, num_threads=self.options.threads), self.choice[0])
            for booster in self.boosters
        ]
        means = self.mean.predict(inputs, num_threads=self.options.threads)
        return np.maximum(means, 0.0), np.stack(quantiles, axis=1)

    def _datasets(self, train, target):
        power, is_log = target
        tables = []
        for inputs, units, scales in (train, self.validation):
            weights = scales**power
            weights = weights / max(weights.mean(), 1e-12) if len(weights) else weights
            tables.append((inputs, np.log1p(units) if is_log else units, weights))
        return Datasets(*tables)

    def _units(self, predicted, target):
        return np.maximum(np.expm1(predicted) if target[1] else predicted, 0.0)

    def _parameters(self, trees):
        return tree_parameters(trees, self.options.threads, self.options.seed)

    def _quantile(self, trees, at):
        return self._parameters(trees) | {"objective": "quantile", "alpha": float(self.levels[at])}


def pairs(units, n_max, seed):
    """Positions (row, step) of at most `n_max` known units, in random order."""
    rows, steps = np.nonzero(np.isfinite(units))
    chosen = np.random.default_rng(seed).permutation(len(rows))[:n_max]
    return rows[chosen], steps[chosen]


def validation_wql(units_model, units, scales, inputs):
    """The WQL on validation pairs."""
    _, quantiles = units_model.predict(inputs)
    quantiles = np.sort(np.maximum(quantiles, 0.0), axis=1)[:, WQL_LEVELS]
    losses = pinball(quantiles, units, units_model.levels[WQL_LEVELS]).mean(axis=1)
    return float(2.0 * (scales * losses).sum() / max(float((scales * units).sum()), 1e-12))
