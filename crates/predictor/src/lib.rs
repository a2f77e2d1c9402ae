//! Answers forecasts from published models.
