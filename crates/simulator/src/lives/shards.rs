//! Shards: the lives of some shops, simulated and written by one worker.

use std::path::Path;

use lifecycle::Day;

use super::calendar::Calendar;
use super::config::Config;
use super::one::Life;
use super::ranges;
use super::shop::Shop;
use super::summary::Tally;
use crate::Error;
use crate::files::{dates, optional_numbers, texts, write};

/// A shard is closed once it has so many periods of lives: bounds what a worker holds.
const PERIODS_MIN: usize = 200_000;

/// Folders of the two tables, below the output.
pub(crate) const FOLDERS: [&str; 2] = ["panel", "products"];

/// The lives of one shop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Members {
    shop: usize,
    lives: std::ops::Range<usize>,
}

/// The shops of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shard {
    number: usize,
    shops: Vec<Members>,
}

/// Draws the sizes of the shops and deals them out.
pub(crate) fn shards(config: &Config, calendar: &Calendar) -> Vec<Shard> {
    let mut draws = config.draws("sizes", 0);
    let n_lives = config.lives as usize;
    let mut shards = Vec::new();
    let (mut shops, mut n_periods, mut first, mut shop) = (Vec::new(), 0, 0, 0);
    while first < n_lives {
        let size = ranges::LIVES.draw(&mut draws) as usize;
        let lives = first..(first + size).min(n_lives);
        n_periods += lives.len() * calendar.n_periods;
        first = lives.end;
        shops.push(Members { shop, lives });
        shop += 1;
        if n_periods >= PERIODS_MIN || first == n_lives {
            shards.push(Shard { number: shards.len(), shops: std::mem::take(&mut shops) });
            n_periods = 0;
        }
    }
    shards
}

/// A life under its name and that of its shop.
struct Named {
    product: String,
    shop: String,
    life: Life,
}

impl Shard {
    /// Simulates the shard's lives and writes them; what they came to.
    pub(crate) fn write(
        &self,
        config: &Config,
        calendar: &Calendar,
        output: &Path,
    ) -> Result<Tally, Error> {
        let mut tally = Tally::default();
        let mut named = Vec::new();
        for Members { shop: number, lives } in &self.shops {
            let shop = Shop::draw(config, calendar, *number);
            let of_shop: Vec<Life> =
                lives.clone().map(|index| Life::of(config, calendar, &shop, index)).collect();
            tally.absorb(Tally::of_shop(&of_shop, calendar));
            named.extend(lives.clone().zip(of_shop).map(|(index, life)| Named {
                product: format!("life-{index:07}"),
                shop: format!("shop-{number:05}"),
                life,
            }));
        }
        let name = format!("part-{:05}.parquet", self.number);
        let [panel, products] = FOLDERS.map(|folder| output.join(folder).join(&name));
        write_panel(&panel, &named, calendar)?;
        write_products(&products, &named)?;
        Ok(tally)
    }
}

/// A row a life and period, in their order.
fn write_panel(path: &Path, named: &[Named], calendar: &Calendar) -> Result<(), Error> {
    let days: Vec<Day> = (0..calendar.n_periods).map(|index| calendar.day(index)).collect();
    let rows = || named.iter().flat_map(|of| of.life.cells.iter().map(move |cell| (of, cell)));
    let cells = || rows().map(|(_, cell)| cell);
    let dated = named
        .iter()
        .flat_map(|Named { life, .. }| days[life.first..].iter().take(life.cells.len()).copied());
    let columns = vec![
        texts("product", rows().map(|(of, _)| Some(of.product.as_str()))),
        dates("date", dated.map(Some))?,
        optional_numbers("units", cells().map(|cell| cell.units)),
        optional_numbers("in_stock", cells().map(|cell| cell.in_stock)),
        optional_numbers("price", cells().map(|cell| cell.price)),
        optional_numbers("promotion", cells().map(|cell| cell.promotion)),
        texts("stage", cells().map(|cell| Some(cell.stage.name()))),
    ];
    write(path, columns)
}

/// A row a life: its shop and category, and its dates where the shop knows them.
fn write_products(path: &Path, named: &[Named]) -> Result<(), Error> {
    let categories: Vec<String> =
        named.iter().map(|of| format!("category-{:02}", of.life.category)).collect();
    let columns = vec![
        texts("product", named.iter().map(|of| Some(of.product.as_str()))),
        texts("shop", named.iter().map(|of| Some(of.shop.as_str()))),
        texts("category", categories.iter().map(|name| Some(name.as_str()))),
        dates("launch", named.iter().map(|of| of.life.launch))?,
        dates("end", named.iter().map(|of| of.life.end))?,
    ];
    write(path, columns)
}

#[cfg(test)]
mod tests {
    use lifecycle::Frequency;

    use super::*;

    #[test]
    fn every_life_belongs_to_one_shop_and_shards_are_bounded() {
        for (lives, frequency) in
            [(1, Frequency::Week), (19, Frequency::Day), (40_000, Frequency::Week)]
        {
            let config = Config { lives, frequency, seed: 2 };
            let calendar = Calendar::draw(&config);
            let shards = shards(&config, &calendar);
            let members: Vec<&Members> = shards.iter().flat_map(|shard| &shard.shops).collect();
            let mut next = 0;
            for (shop, members) in members.iter().enumerate() {
                assert_eq!((members.shop, members.lives.start), (shop, next));
                assert!(!members.lives.is_empty() && members.lives.len() <= 2_000);
                next = members.lives.end;
            }
            assert_eq!(next, lives as usize);
            for (number, shard) in shards.iter().enumerate() {
                assert_eq!(shard.number, number);
                let n_lives: usize = shard.shops.iter().map(|members| members.lives.len()).sum();
                assert!(n_lives * calendar.n_periods < PERIODS_MIN + 2_000 * calendar.n_periods);
            }
        }
    }
}
