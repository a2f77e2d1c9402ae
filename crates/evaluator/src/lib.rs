//! Forecasts by rule, and the scores of all forecasts.
