//! Trains models and publishes them.
