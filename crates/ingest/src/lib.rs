//! Turns raw event, product, transaction or panel files into one clean, versioned data set.
