"""The trapezoid filter as a peer of its own: what the `f_` columns of the exchange say."""

from exchange import OUTLOOKS, Forecasts


def forecast(peer, exchange, options):
    """Stages and mean units, straight from the filter's posterior."""
    rows = exchange.asked()
    forecasts = Forecasts(rows)
    now = [f"f_now_{stage}" for stage in range(4)]
    forecasts.stage_now = rows[now].to_numpy(float)
    later = [f"f_{weeks}_{stage}" for weeks in OUTLOOKS for stage in range(5)]
    forecasts.stages = rows[later].to_numpy(float).reshape(len(rows), 3, 5)
    steps = [f"f_units_{step}" for step in range(1, exchange.n_ahead + 1)]
    forecasts.means = rows[steps].to_numpy(float) * rows["scale"].to_numpy(float)[:, None]
    return forecasts, {"parameters": {}, "validation": {}, "predict_seconds": None}
