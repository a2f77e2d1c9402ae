//! Products, locations and series: what a forecast is for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A product's id, as its owner writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProductId(String);

/// A location's id: a store, country, channel or seller, or several joined.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LocationId(String);

/// What is forecast: a product, at one location or over all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Series {
    /// Whose sales.
    pub product: ProductId,
    /// Where; `None` where the data has no locations.
    pub location: Option<LocationId>,
}

impl Series {
    /// The series of a product over all locations.
    pub fn of(product: impl Into<ProductId>) -> Self {
        Self { product: product.into(), location: None }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            None => f.write_str(self.product.as_str()),
            Some(location) => write!(f, "{} @ {}", self.product, location),
        }
    }
}

impl ProductId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for ProductId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl From<&str> for ProductId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl fmt::Display for ProductId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl LocationId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for LocationId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl From<&str> for LocationId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl fmt::Display for LocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
