//! The two columns that name a series in every table: `product` and `location` (null: none).

use lifecycle::Series;
use polars::prelude::Column;

use crate::frame::{Error, Frame, texts};

pub(crate) fn columns<'a, T>(rows: &'a [T], of: impl Fn(&'a T) -> &'a Series) -> Vec<Column> {
    vec![
        texts("product", rows, |row| Some(of(row).product.as_str())),
        texts("location", rows, |row| of(row).location.as_ref().map(lifecycle::LocationId::as_str)),
    ]
}

pub(crate) fn read(frame: &Frame) -> Result<impl Iterator<Item = Series> + use<>, Error> {
    let products = frame.required_texts("product")?;
    let locations = frame.texts("location")?;
    Ok(products.into_iter().zip(locations).map(|(product, location)| Series {
        product: product.into(),
        location: location.map(Into::into),
    }))
}
