"""Other people's estimators of Shapley values on exact games: a JSON line a peer, game and budget.

    python3 explain.py GAMES.npy... --budgets 110,181,600 --seeds 20 [--peers NAME,...] [--seconds 600]

A file holds float32 of shape [instance, 2^players, output], the bits of the second axis saying who is
present. `error` is the median over instances, outputs and seeds of |estimate - exact|_2 / |exact|_2;
`evaluations` the most rows that a run asked for, the empty and the full coalition among them: a game is
deterministic, so asking again what was answered is counted as the peer asks. `seconds` is the median of
one explanation of all outputs, `difference_max` the greatest of a value to the exact one. `--until` ends a
peer's budgets at an error that is good enough, but for the last budget. `--seconds` are shared equally
among peers and games; what does not fit is left out, and said.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import time
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np


def exact_values(table):
    """By definition. Shape [players, outputs]."""
    n = table.shape[0].bit_length() - 1
    sizes = np.array([bin(bits).count("1") for bits in range(len(table))])
    weights = np.ones(n)
    for size in range(1, n):
        weights[size] = weights[size - 1] * size / (n - size)
    weights /= n
    values = np.zeros((n, table.shape[1]))
    for player in range(n):
        without = np.flatnonzero(~(np.arange(len(table)) >> player) & 1)
        gains = table[without | 1 << player] - table[without]
        values[player] = weights[sizes[without]] @ gains
    return values


class Game:
    """A table that counts what it is asked."""

    def __init__(self, table):
        self.table, self.n, self.rows = table, table.shape[0].bit_length() - 1, 0
        self.powers = 1 << np.arange(self.n)

    def __call__(self, present):
        present = np.atleast_2d(np.asarray(present)) > 0.5
        self.rows += len(present)
        return self.table[present @ self.powers]


def shap_kernel(game, budget, seed):
    import shap

    np.random.seed(seed)
    explainer = shap.KernelExplainer(game, np.zeros((1, game.n)))
    values = explainer.shap_values(np.ones((1, game.n)), nsamples=budget - 2, l1_reg=False, silent=True)
    return np.asarray(values)[0]


def shap_permutation(game, budget, seed):
    import shap

    masker = shap.maskers.Independent(np.zeros((1, game.n)), max_samples=1)
    explainer = shap.PermutationExplainer(game, masker, seed=seed)
    return explainer(np.ones((1, game.n)), max_evals=budget, silent=True).values[0]


def shapiq_of(name):
    def estimate(game, budget, seed):
        import shapiq

        options = {"pairing_trick": True} if name == "KernelSHAP" else {}
        columns, most = [], 0
        for output in range(game.table.shape[1]):
            # All outputs are known from the same coalitions; here each asks for them anew.
            game.rows = 0
            approximator = getattr(shapiq, name)(game.n, random_state=seed, **options)
            found = approximator.approximate(budget, lambda present: game(present)[:, output])
            columns.append([float(found[(player,)]) for player in range(game.n)])
            most = max(most, game.rows)
        game.rows = most
        return np.array(columns).T

    return estimate


def captum_kernel(game, budget, seed):
    import torch
    from captum.attr import KernelShap

    torch.manual_seed(seed)
    method = KernelShap(lambda present: torch.from_numpy(game(present.numpy())))
    ones, columns, most = torch.ones(1, game.n), [], 0
    for output in range(game.table.shape[1]):
        game.rows = 0
        options = {"n_samples": budget - 2, "target": output, "perturbations_per_eval": 256}
        found = method.attribute(ones, baselines=0 * ones, **options)
        columns.append(found[0].numpy())
        most = max(most, game.rows)
    game.rows = most
    return np.array(columns).T


PEERS = {
    "shap KernelExplainer": shap_kernel,
    "shap PermutationExplainer": shap_permutation,
    "shapiq KernelSHAP": shapiq_of("KernelSHAP"),
    "shapiq LeverageSHAP": shapiq_of("LeverageSHAP"),
    "shapiq OddSHAP": shapiq_of("OddSHAP"),
    "captum KernelShap": captum_kernel,
}


def version(peer):
    import importlib.metadata

    return importlib.metadata.version(peer.split()[0])


def measure(peer, games, budget, seeds, deadline):
    errors, seconds, rows, greatest = [], [], 0, 0.0
    for game, exact in games:
        for seed in range(seeds):
            game.rows = 0
            begin = time.perf_counter()
            if time.monotonic() > deadline:
                raise TimeoutError("the time is over")
            found = PEERS[peer](game, budget, seed)
            seconds.append(time.perf_counter() - begin)
            rows = max(rows, game.rows)
            errors += list(np.linalg.norm(found - exact, axis=0) / np.linalg.norm(exact, axis=0))
            greatest = max(greatest, float(np.abs(found - exact).max()))
    return {
        "error": float(np.nanmedian(errors)), "evaluations": rows, "difference_max": greatest,
        "seconds": statistics.median(seconds), "n": len(errors),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("games", nargs="+", type=pathlib.Path)
    parser.add_argument("--budgets", required=True)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--until", type=float, default=0.0)
    flags = parser.parse_args()
    warnings.filterwarnings("ignore")
    begin, peers = time.monotonic(), flags.peers.split(",")
    for at, (path, peer) in enumerate((path, peer) for path in flags.games for peer in peers):
        tables = np.load(path).astype(float)
        games = [(Game(table), exact_values(table)) for table in tables]
        left = flags.seconds - (time.monotonic() - begin)
        deadline = time.monotonic() + left / (len(flags.games) * len(peers) - at)
        budgets, is_enough = [int(budget) for budget in flags.budgets.split(",")], False
        for budget in budgets:
            if is_enough and budget != budgets[-1]:
                continue
            line = {"game": path.stem, "peer": peer, "budget": budget}
            try:
                line |= {"version": version(peer)} | measure(peer, games, budget, flags.seeds, deadline)
            except Exception as error:  # One peer that fails must not end the others.
                line["why"] = f"{type(error).__name__}: {error}"[:200]
            is_enough = is_enough or line.get("error", 1.0) <= flags.until
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    sys.exit(main())
