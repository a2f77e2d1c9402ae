//! A marketplace with known truth, from a seed.
