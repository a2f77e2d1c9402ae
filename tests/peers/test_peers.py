"""Tests of the peers on a synthetic exchange: `target/peers/bin/python -m unittest` in this folder.

The networks are left out for their minutes; they read the same histories through the same cut.
"""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import pandas as pd

import synthetic
from combine import _mixture_weights, _pinball_weights
from exchange import Exchange, classes_of_turns, turns_of_classes
from losses import at_temperature, fit_temperature, one_hot, soft_log_loss, wql
from statistical import filled, mean_of_quantiles

HERE = Path(__file__).parent
PEERS = ("seasonal-naive", "auto-ets", "croston-sba", "filter", "hmm", "lightgbm-lags",
         "lightgbm-ours")


def run(peer, exchange, output, *more):
    command = [sys.executable, str(HERE / "run.py"), peer, str(exchange), str(output)]
    subprocess.run([*command, "--threads", "1", *more], check=True, capture_output=True)
    return pd.read_parquet(output / "forecasts" / "part-000.parquet")


def same(one, other):
    """Whether two tables of forecasts hold the same, lists and nulls included."""
    return one.map(str).equals(other.map(str))


class Contract(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        root = Path(cls.folder.name)
        cls.root, cls.exchange = root, root / "exchange"
        synthetic.write(cls.exchange, n_products=24)
        # After the first test origin all is something else.
        synthetic.write(root / "scrambled", n_products=24, scrambled_after=synthetic.CUT - 1)
        cls.forecasts = {peer: run(peer, cls.exchange, root / peer) for peer in PEERS}

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_every_row_that_is_asked_is_forecast_once_and_in_order(self):
        asked = Exchange(self.exchange).asked()
        for peer, table in self.forecasts.items():
            with self.subTest(peer):
                keys = list(zip(table["product"], table["origin"]))
                self.assertEqual(keys, list(zip(asked["product"], asked["origin"])))

    def test_forecasts_are_well_formed(self):
        for peer, table in self.forecasts.items():
            with self.subTest(peer):
                for quantiles in table["quantiles"].dropna():
                    quantiles = quantiles.reshape(synthetic.N_AHEAD, 13)
                    self.assertTrue((np.diff(quantiles, axis=1) >= 0.0).all())
                    self.assertTrue((quantiles >= 0.0).all() and np.isfinite(quantiles).all())
                for means in table["means"].dropna():
                    self.assertTrue((means >= 0.0).all() and np.isfinite(means).all())
                for stages in table["stages"].dropna():
                    np.testing.assert_allclose(stages.reshape(3, 5).sum(axis=1), 1.0, atol=1e-5)
                for turns in table["turns"].dropna():
                    halved, _, silent = turns.reshape(3, 3).T
                    self.assertTrue((silent <= halved + 1e-6).all())

    def test_what_comes_after_an_origin_changes_no_forecast_of_it(self):
        for peer, table in self.forecasts.items():
            with self.subTest(peer):
                other = run(peer, self.root / "scrambled", self.root / f"{peer}-scrambled")
                until = table["origin"] < synthetic.CUT
                self.assertTrue(until.sum() > 20 and same(table[until], other[until]))

    def test_the_same_seed_gives_the_same_forecasts_on_two_threads(self):
        for peer in ("hmm", "lightgbm-ours"):
            with self.subTest(peer):
                again = run(peer, self.exchange, self.root / f"{peer}-again", "--threads", "2")
                self.assertTrue(same(self.forecasts[peer], again))

    def test_a_stack_of_itself_is_itself(self):
        inputs = [str(self.root / "lightgbm-ours"), f"twin={self.root / 'lightgbm-ours'}"]
        for peer in ("mean", "stack"):
            with self.subTest(peer):
                table = run(peer, self.exchange, self.root / peer, "--inputs", *inputs)
                for column in ("means", "quantiles", "turns", "stages", "stage_now"):
                    one = np.stack(self.forecasts["lightgbm-ours"][column].to_numpy())
                    np.testing.assert_allclose(np.stack(table[column].to_numpy()), one, atol=1e-3)

    def test_a_correction_counts_once_it_is_known(self):
        history = Exchange(self.exchange).histories["p0"]
        period = synthetic.CUT - 5 - history.start
        late = history.known(synthetic.CUT + 1)[period]
        self.assertEqual(history.known(synthetic.CUT)[period], max(0.0, late + 3.0))


class Pieces(unittest.TestCase):
    def test_turns_and_classes_are_each_others_inverse(self):
        classes = np.array([[0.1, 0.2, 0.6, 0.1]])
        turns = turns_of_classes(classes)
        np.testing.assert_allclose(turns, [[0.3, 0.1, 0.1]])
        np.testing.assert_allclose(classes_of_turns(turns), classes)

    def test_holes_are_interpolated_and_the_end_filled_forward(self):
        nan = np.nan
        np.testing.assert_allclose(filled(np.array([nan, 2.0, nan, 4.0, nan])), [2, 3, 4, 4])
        self.assertEqual(len(filled(np.array([nan, nan]))), 0)

    def test_the_mean_of_even_quantiles_is_their_middle(self):
        levels = np.array(synthetic.LEVELS)
        self.assertAlmostEqual(float(mean_of_quantiles(levels[None], levels)[0]), 0.5, places=6)

    def test_too_sure_probabilities_are_cooled(self):
        random = np.random.default_rng(1)
        truth = np.full((4000, 2), [0.7, 0.3])
        labels, weights = one_hot((random.random(4000) > 0.7).astype(float), 2)
        sure = truth**2 / (truth**2).sum(axis=1, keepdims=True)
        temperature = fit_temperature(sure, labels, weights)
        self.assertTrue(1.7 < temperature <= 2.0)
        cooled = soft_log_loss(at_temperature(sure, temperature), labels, weights)
        self.assertLess(cooled, soft_log_loss(sure, labels, weights))

    def test_a_stack_finds_the_expert(self):
        random = np.random.default_rng(2)
        right = random.dirichlet([1.0, 1.0, 1.0], size=3000)
        drawn = (right.cumsum(axis=1) < random.random((3000, 1))).sum(axis=1).astype(float)
        labels, ones = one_hot(drawn, 3)
        weights = _mixture_weights([np.full((3000, 3), 1.0 / 3.0), right], labels, ones)
        self.assertGreater(weights[1], 0.9)
        levels = np.array(synthetic.LEVELS)
        units = random.exponential(5.0, size=(3000, 1))
        good = np.tile(-5.0 * np.log(1.0 - levels), (3000, 1, 1))
        weights = _pinball_weights([3.0 * good, good], units, levels)
        self.assertGreater(weights[1], 0.9)
        self.assertLess(wql(good, units, levels), wql(3.0 * good, units, levels))


if __name__ == "__main__":
    unittest.main()
