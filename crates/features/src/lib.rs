//! Turns a data set into panels, labels, fitted encoders and splits without look-ahead.
