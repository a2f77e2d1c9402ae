"""How long shap.KernelExplainer at its defaults takes on the network of lifecast in PyTorch: a JSON line a case.

    python3 explain_network.py SHAPE.json 1 8 --players 10 [--times 5] [--threads 2]

SHAPE is what `cargo xtask bench explain` says of the network. Its weights are random, which costs the
same. The players are as many groups of the network's inputs, and background rows, of which each case has
the number given, are random rows of inputs: nothing is computed anew from a history, which is less work
than lifecast does. Answers are the outputs that lifecast explains: units, turns, a stage.
"""

import argparse
import importlib.metadata
import json
import statistics
import time
import warnings

import numpy as np
import torch

from training_pace import N_LEVELS, Network


class Answer:
    """Rows of all inputs, flat, to outputs."""

    def __init__(self, shape):
        dims = shape["dimensions"]
        self.sizes = [
            (dims["context"], dims["n_context_inputs"]),
            (dims["n_static_inputs"],),
            (dims["horizon"], dims["n_horizon_inputs"]),
        ]
        self.widths = [int(np.prod(size)) for size in self.sizes]
        self.network = Network(shape).eval()
        self.n_evaluations = 0

    def __call__(self, rows):
        self.n_evaluations += len(rows)
        with torch.inference_mode():
            parts = torch.split(torch.from_numpy(np.asarray(rows, np.float32)), self.widths, 1)
            inputs = [part.reshape(-1, *size) for part, size in zip(parts, self.sizes)]
            hidden = torch.zeros(len(rows), 1, 1, self.network.positions.shape[0])
            units, turns, stages = self.network(*inputs, hidden)
            units = torch.nn.functional.softplus(units[..., N_LEVELS]).sum(1, keepdim=True)
            turns = torch.softmax(turns[:, 4:8], 1)[:, :3]
            return torch.cat([units, turns, torch.softmax(stages[:, :4], 1)[:, 3:]], 1).double().numpy()


def main():
    import shap
    from shap.utils._legacy import DenseData

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shape", type=json.loads)
    parser.add_argument("n_background", type=int, nargs="+")
    parser.add_argument("--players", type=int, default=10)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    flags = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(flags.threads)
    torch.manual_seed(1)
    answer, rng = Answer(flags.shape), np.random.default_rng(1)
    n_columns = sum(answer.widths)
    groups = np.array_split(np.arange(n_columns), flags.players)
    names = [f"player {player}" for player in range(flags.players)]
    for n_background in flags.n_background:
        seconds, background = [], rng.normal(size=(n_background, n_columns))
        for _ in range(flags.times):
            row = rng.normal(size=(1, n_columns))
            answer.n_evaluations, begin = 0, time.perf_counter()
            explainer = shap.KernelExplainer(answer, DenseData(background, names, groups))
            values = explainer.shap_values(row, silent=True)
            seconds.append(time.perf_counter() - begin)
            assert np.asarray(values).size == 5 * flags.players
        line = {
            "n_background": n_background, "n_evaluations": answer.n_evaluations, "n": flags.times,
            "seconds": statistics.median(seconds), "version": importlib.metadata.version("shap"),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
