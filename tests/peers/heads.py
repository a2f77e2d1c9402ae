"""Turns and stages by LightGBM: one model a horizon, tuned together on validation rows.

Labels may be probabilities with weights. Tuned with a share of the training rows: which inputs, then
which trees. The final models are means over bags of slower trees, with a temperature fitted on
validation.
"""

import numpy as np

import boosting
from boosting import Classes, tree_parameters
from exchange import OUTLOOKS, turns_of_classes
from losses import at_temperature, fit_temperature, soft_log_loss, turn_labels

N_BAGS = 2
TUNING_ROWS = 10_000
# The final trees learn this much slower than those of the tuning.
SLOWER = 0.6


class Heads:
    """One target at several horizons; all take the inputs and trees that are best in sum.

    `heads` lists (name, number of classes, labels and weights of rows); `inputs` names ways to make
    inputs of rows.
    """

    def __init__(self, name, exchange, heads, inputs):
        self.name, self.heads, self.inputs = name, heads, inputs
        self.parts = [exchange.part("train"), exchange.part("validation")]
        self.made = {}

    def tune(self, options, report):
        """Chooses inputs, then trees."""
        losses = {}
        for inputs in self.inputs:
            losses[(inputs, boosting.TREES[0])] = self._loss(inputs, boosting.TREES[0], options)
        inputs = min(losses, key=losses.get)[0]
        for trees in boosting.TREES[1:]:
            losses[(inputs, trees)] = self._loss(inputs, trees, options)
        self.choice = min(losses, key=losses.get)
        report["parameters"][self.name] = {"inputs": self.choice[0], "trees": self.choice[1]}
        for variant, loss in losses.items():
            report["validation"][f"{self.name}: {variant}"] = loss

    def predict(self, forecasts, options, report):
        """Fits the final models and stores what they say of all rows that are asked."""
        inputs, (leaves, least, rate, share, ridge) = self.choice
        asked, judged = self.inputs[inputs](forecasts.rows), self._made(inputs)[1]
        slower = (leaves, least, rate * SLOWER, share, ridge)
        for at, head in enumerate(self.heads):
            classes = self._classes(head, inputs, len(self.parts[0]))
            if classes is None:
                continue
            answers, checked = 0.0, 0.0
            for bag in range(N_BAGS):
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

    def _loss(self, inputs, trees, options):
        """In sum over every other head: neighbouring horizons want the same."""
        parameters = tree_parameters(trees, options.threads, options.seed)
        total = 0.0
        for head in self.heads[::2]:
            classes = self._classes(head, inputs, TUNING_ROWS)
            total += classes.fit(parameters)[1] if classes else 0.0
        return total

    def _made(self, inputs):
        if inputs not in self.made:
            self.made[inputs] = [self.inputs[inputs](rows) for rows in self.parts]
        return self.made[inputs]

    def _classes(self, head, inputs, n_max):
        """What a head learns from; None where there is nothing, or nothing to judge by."""
        tables = []
        for rows, values in zip(self.parts, self._made(inputs)):
            labels, weights = head[2](rows)
            at = np.flatnonzero(weights > 0.0)
            if len(at) > n_max:
                at = np.sort(np.random.default_rng(0).permutation(at)[:n_max])
            tables.append((values[at], labels[at], weights[at]))
        return Classes(*tables) if all(len(table[1]) for table in tables) else None

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


def turn_heads(exchange, inputs):
    """Silent, halved, neither or doubled at each horizon."""

    def labels(horizon):
        return lambda rows: turn_labels(rows, horizon)

    heads = [(f"{OUTLOOKS[at]} weeks", 4, labels(at)) for at in range(3)]
    return Heads("turns", exchange, heads, inputs)


def stage_heads(exchange, inputs):
    """The stage now, one of four, and at each horizon, *ended* among them."""

    def labels(ahead, n_classes):
        def of(rows):
            probabilities, weights = exchange.stage_targets(rows, ahead)
            return probabilities[:, :n_classes], weights

        return of

    heads = [("now", 4, labels(0, 4))]
    heads += [(f"{weeks} weeks", 5, labels(weeks, 5)) for weeks in OUTLOOKS]
    return Heads("stages", exchange, heads, inputs)
