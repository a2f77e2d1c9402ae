//! Series and calendar on the wire.

use lifecycle::{Frequency, Invalid, LocationId, Period, ProductId, Series};

use crate::fields::{self, NAME_BYTES_MAX};
use crate::v1;

impl TryFrom<v1::Series> for Series {
    type Error = Invalid;

    fn try_from(message: v1::Series) -> Result<Self, Invalid> {
        let v1::Series { product_id, location_id } = message;
        let product = fields::required_text("product_id", product_id, NAME_BYTES_MAX)?;
        let location = fields::optional_text("location_id", location_id, NAME_BYTES_MAX)?;
        Ok(Self { product: ProductId::from(product), location: location.map(LocationId::from) })
    }
}

impl From<Series> for v1::Series {
    fn from(Series { product, location }: Series) -> Self {
        Self {
            product_id: product.as_str().to_owned(),
            location_id: location.map(|id| id.as_str().to_owned()).unwrap_or_default(),
        }
    }
}

/// The series of a message, which must have one.
pub(crate) fn series(message: Option<v1::Series>) -> Result<Series, Invalid> {
    Series::try_from(fields::required("series", message)?).map_err(fields::at("series"))
}

impl From<Frequency> for v1::Frequency {
    fn from(frequency: Frequency) -> Self {
        match frequency {
            Frequency::Day => Self::Day,
            Frequency::Week => Self::Week,
            Frequency::Month => Self::Month,
        }
    }
}

/// The frequency of a message, which must have one.
pub(crate) fn frequency(value: i32) -> Result<Frequency, Invalid> {
    match v1::Frequency::try_from(value) {
        Ok(v1::Frequency::Day) => Ok(Frequency::Day),
        Ok(v1::Frequency::Week) => Ok(Frequency::Week),
        Ok(v1::Frequency::Month) => Ok(Frequency::Month),
        Ok(v1::Frequency::Unspecified) | Err(_) => {
            Err(Invalid::new("frequency", "must be day, week or month"))
        }
    }
}

/// The number of a frequency, as messages carry it.
pub(crate) fn frequency_number(frequency: Frequency) -> i32 {
    v1::Frequency::from(frequency).into()
}

/// The period that holds a day of the message.
pub(crate) fn period(field: &str, frequency: Frequency, day: i32) -> Result<Period, Invalid> {
    Ok(frequency.period_of(fields::day(field, day)?))
}
