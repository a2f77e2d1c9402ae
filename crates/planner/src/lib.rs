//! Turns forecasts into stock, price and risk decisions.
