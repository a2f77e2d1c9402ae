//! Splits a prediction over its inputs, with errors.
