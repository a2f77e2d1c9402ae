"""A quick look at one peer's output on validation rows: `score.py EXCHANGE_DIR OUTPUT_DIR...`.

Beside it what anybody could say: trailing quantiles of half a year, and base rates of training rows.
Validation rows chose the peers' variants, so this is a check and no result: `evaluator` scores.
"""

import sys
from pathlib import Path

import numpy as np

from exchange import OUTLOOKS, Exchange, read_forecasts, turns_of_classes
from losses import clipped, soft_log_loss, turn_labels, wql


def main():
    exchange = Exchange(sys.argv[1])
    rows, train = exchange.part("validation"), exchange.part("train")
    units = exchange.targets(rows) * rows["scale"].to_numpy(float)[:, None]
    print(f"{exchange.meta['set']}: {len(train)} training, {len(rows)} validation rows")
    trailing = _trailing_quantiles(exchange, rows)
    print(f"  trailing quantiles: wql {wql(trailing, units, exchange.levels):.4f}")
    rates = [_rate(turn_labels(train, at)) for at in range(3)]
    print("  base rate:", _turns(rows, [np.tile(rate, (len(rows), 1)) for rate in rates]))
    stages = [exchange.stage_targets(train, ahead) for ahead in (0, *OUTLOOKS)]
    stages = [np.tile(_rate(target), (len(rows), 1)) for target in stages]
    print("  base rate:", _stages(exchange, rows, stages))
    for folder in sys.argv[2:]:
        given = read_forecasts(folder, rows, exchange)
        name = Path(folder).name
        if given.means is not None:
            weights = 1.0 / rows["scale"].to_numpy(float)[:, None]
            errors = np.abs(given.means[:, : units.shape[1]] - units) * weights
            bias = np.nansum(np.where(np.isfinite(units), given.means[:, : units.shape[1]], 0.0))
            print(f"  {name}: absolute error over scale {np.nanmean(errors):.4f},",
                  f"bias {bias / np.nansum(units) - 1.0:+.3f}")
        if given.quantiles is not None:
            print(f"  {name}: wql {wql(given.quantiles, units, exchange.levels):.4f}")
        if given.turns is not None:
            print(f"  {name}:", _turns(rows, [given.turns[:, at] for at in range(3)], True))
        if given.stages is not None:
            later = [given.stages[:, at] for at in range(3)]
            now = np.pad(given.stage_now, ((0, 0), (0, 1)))
            print(f"  {name}:", _stages(exchange, rows, [now, *later]))


def _rate(target):
    labels, weights = target
    total = (labels * weights[:, None]).sum(axis=0) + 1e-9
    return total / total.sum()


def _turns(rows, answers, are_turns=False):
    said = []
    for at, answer in enumerate(answers):
        labels, weights = turn_labels(rows, at)
        came = turns_of_classes(labels)
        turns = answer if are_turns else turns_of_classes(answer)
        is_known = weights > 0.0
        if not is_known.any():
            continue
        turns, came = turns[is_known], came[is_known]
        brier = ((turns - came) ** 2).mean()
        sure = clipped(turns)
        loss = -(came * np.log(sure) + (1.0 - came) * np.log(1.0 - sure)).mean()
        said.append(f"{OUTLOOKS[at]} weeks brier {brier:.4f} log loss {loss:.4f} (n {len(came)})")
    return "turns: " + "; ".join(said)


def _stages(exchange, rows, answers):
    said = []
    for ahead, answer in zip((0, *OUTLOOKS), answers):
        labels, weights = exchange.stage_targets(rows, ahead)
        if weights.sum() > 0.0:
            said.append(f"{ahead} weeks {soft_log_loss(answer, labels, weights):.4f}")
    return "stages, log loss: " + "; ".join(said)


def _trailing_quantiles(exchange, rows):
    recent = exchange.recent(rows, 18 if exchange.season == 12 else 2 * exchange.quarter)
    known = np.where(np.isfinite(recent).any(axis=1)[:, None], recent, 0.0)
    quantiles = np.nanquantile(known, exchange.levels, axis=1).T
    return np.repeat(quantiles[:, None], exchange.n_ahead, axis=1)


if __name__ == "__main__":
    main()
