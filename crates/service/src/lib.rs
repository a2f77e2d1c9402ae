//! How a stage starts, limits, reports, drains and stops.
