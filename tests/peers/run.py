"""Runs one peer on one exchange: `run.py PEER EXCHANGE_DIR OUTPUT_DIR --seed S --threads N`.

`--only units|turns|stages` leaves out what else the peer could say, which may take it most of its time.

Writes OUTPUT_DIR/forecasts/part-000.parquet (the table of `tables::Forecast`, one row for each row of
the exchange that is not for training) and OUTPUT_DIR/peer.json. `run.py --list` prints the peers.
"""

import argparse
import importlib
import importlib.metadata
import json
import os
import sys
import time
from pathlib import Path

BOOSTED = ["boosting.py", "heads.py"]
# In the order in which the bench makes them, within a cost; name: (module, cost, what it gives of itself, the scripts that it is made of beside its module)
PEERS = {
    "seasonal-naive": ("statistical", "cheap", ["units"], []),
    "croston-sba": ("statistical", "cheap", ["units"], []),
    "filter": ("trapezoid", "cheap", ["units", "stages"], []),
    "hmm": ("hmm", "cheap", ["stages"], []),
    "lightgbm-lags": ("lightgbm_lags", "medium", ["units", "turns"], BOOSTED),
    "lightgbm-ours": ("lightgbm_ours", "medium", ["units", "turns", "stages"], BOOSTED),
    "auto-ets": ("statistical", "medium", ["units"], []),
    "auto-theta": ("statistical", "medium", ["units"], []),
    "patchtst": ("neural", "heavy", ["units"], ["statistical.py"]),
    "tft": ("neural", "heavy", ["units"], ["statistical.py"]),
    "mean": ("combine", "cheap", ["units", "turns", "stages"], []),
    "stack": ("combine", "cheap", ["units", "turns", "stages"], []),
}
# Made of other peers' outputs, given by --inputs.
COMBINATIONS = ("mean", "stack")
SEEDED = ("lightgbm-lags", "lightgbm-ours", "patchtst", "tft", *COMBINATIONS)
SHARED = ["exchange.py", "losses.py"]
PACKAGES = ("numpy", "pandas", "pyarrow", "scipy", "statsforecast", "lightgbm", "neuralforecast", "torch")


def main():
    if sys.argv[1:] == ["--list"]:
        listed = [
            {
                "name": name,
                "cost": cost,
                "gives": gives,
                "seeded": name in SEEDED,
                "needs_inputs": name in COMBINATIONS,
                "scripts": [f"{module}.py", *scripts, *SHARED],
            }
            for name, (module, cost, gives, scripts) in PEERS.items()
        ]
        print(json.dumps(listed))
        return
    options = _options()
    # Before numpy is loaded: its libraries read this once.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(options.threads)
    from exchange import Exchange

    exchange = Exchange(options.exchange)
    module = importlib.import_module(PEERS[options.peer][0])
    started = time.perf_counter()
    forecasts, report = module.forecast(options.peer, exchange, options)
    seconds = time.perf_counter() - started
    forecasts.write(options.output)
    n_rows = len(forecasts.rows)
    predict_seconds = report.get("predict_seconds") or seconds
    report |= {
        "peer": options.peer,
        "seed": options.seed,
        "rows": n_rows,
        "seconds": round(seconds, 3),
        "series_per_second": round(n_rows / max(predict_seconds, 1e-9), 2),
        "versions": _versions(),
    }
    text = json.dumps(report, indent=1, sort_keys=True, default=float)
    (options.output / "peer.json").write_text(text + "\n")
    print(f"{options.peer}: {n_rows} rows in {seconds:.1f} s", file=sys.stderr)


def _options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("exchange", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=("units", "turns", "stages"), help="all of it if left out")
    parser.add_argument("--minutes", type=float, default=3.0, help="training time of patchtst and tft")
    parser.add_argument("--inputs", nargs="*", default=[],
                        help="outputs to combine, each DIR or NAME=DIR")
    options = parser.parse_args()
    if options.peer in COMBINATIONS and not options.inputs:
        parser.error(f"{options.peer} combines other peers: name their outputs with --inputs")
    gives = PEERS[options.peer][2]
    if options.only and options.only not in gives:
        parser.error(f"{options.peer} gives {' and '.join(gives)}, and not {options.only}")
    options.wanted = {options.only} if options.only else set(gives)
    return options


def _versions():
    versions = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


if __name__ == "__main__":
    main()
