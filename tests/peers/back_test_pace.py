"""Times the classical peers in a rolling back-test: a JSON line a peer.

    python3 back_test_pace.py EXCHANGE_DIR --origins 26 --series 50 --threads 2

Each forecasts a sample of the series, drawn once for all, from each of the last origins, with the quantiles
that it has. Reading the exchange and starting the pool's processes is not counted.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd

import statistical
from exchange import Exchange

VARIANTS = {"seasonal-naive": "last value", "croston-sba": "alpha .1", "auto-theta": "units", "auto-ets": "units"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("exchange", type=Path)
    parser.add_argument("--origins", type=int, default=26)
    parser.add_argument("--series", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    exchange = Exchange(options.exchange)
    names = sorted(exchange.histories)
    drawn = np.random.default_rng(1).permutation(len(names))[: options.series]
    last = exchange.last_known_period
    rows = pd.DataFrame(
        [(names[at], origin, 1.0) for at in sorted(drawn) for origin in range(last - options.origins + 1, last + 1)],
        columns=["series", "origin", "scale"],
    )
    for peer, variant in VARIANTS.items():
        # The first call of a library compiles it.
        statistical._all(peer, variant, exchange, rows.head(2), options.threads)
        started = time.perf_counter()
        statistical._all(peer, variant, exchange, rows, options.threads)
        seconds = time.perf_counter() - started
        name = peer if peer == "seasonal-naive" else f"{peer} (statsforecast)"
        print(json.dumps({"peer": name, "forecasts": len(rows), "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
