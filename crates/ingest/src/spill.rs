//! Rows between the two passes, on disk: one file per bucket of products.
//!
//! The first pass writes each row to the bucket of its product's hash; the second reads whole
//! partitions, which are sets of buckets. How many partitions there are follows from what was
//! written and the memory limit, so no estimate is needed beforehand. A row is its series, its
//! place in the raw files and up to eight words, whose meaning is its kind's matter.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use lifecycle::{LocationId, ProductId, Series};

use crate::error::Error;
use crate::identity::fingerprint;

/// Buckets: as many partitions as there can be.
pub(crate) const BUCKETS: usize = 64;
/// Memory that a spilled byte takes while its partition is sorted and written, measured.
const MEMORY_PER_BYTE: u64 = 6;
/// Partitions worked on at a time.
pub(crate) const PARTITIONS_AT_ONCE: usize = 4;
/// Bytes that a worker holds for a bucket before they are written.
const BUFFER_BYTES: usize = 1 << 16;
/// Words of a row at most.
pub(crate) const WORDS: usize = 8;

/// What a spilled row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tag {
    Line,
    Event,
    Stock,
    Offer,
    Panel,
    Facts,
}

impl Tag {
    pub(crate) const ALL: [Self; 6] =
        [Self::Line, Self::Event, Self::Stock, Self::Offer, Self::Panel, Self::Facts];

    const fn n_words(self) -> usize {
        match self {
            Self::Line => 8,
            Self::Event => 4,
            Self::Stock => 3,
            Self::Offer => 5,
            Self::Panel => 7,
            Self::Facts => 2,
        }
    }
}

/// Where a row came from: the file's position in the list of files, and the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Place {
    pub(crate) file: u32,
    pub(crate) row: u64,
}

/// A row read back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Position in [`Bucketful::series`].
    pub(crate) series: u32,
    pub(crate) place: Place,
    pub(crate) words: [u64; WORDS],
}

/// Buckets below a folder of its own, which is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Spill {
    folder: PathBuf,
    buckets: Vec<Mutex<Option<File>>>,
    bytes: AtomicU64,
    counts: [AtomicU64; Tag::ALL.len()],
}

/// Writes the rows of one worker; several may write at once, for the order of rows in a bucket
/// means nothing.
#[derive(Debug)]
pub(crate) struct Writer<'s> {
    spill: &'s Spill,
    buffers: Vec<Vec<u8>>,
    counts: [u64; Tag::ALL.len()],
}

impl Writer<'_> {
    /// Writes a row; `text` is empty but for facts.
    pub(crate) fn write(
        &mut self,
        tag: Tag,
        series: &Series,
        place: Place,
        (words, text): (&[u64], &[u8]),
    ) -> Result<(), Error> {
        let product = series.product.as_str();
        let bucket = (fingerprint(product) % BUCKETS as u64) as usize;
        let record = &mut self.buffers[bucket];
        record.push(tag as u8);
        put_text(record, product.as_bytes());
        record.push(u8::from(series.location.is_some()));
        put_text(record, series.location.as_ref().map_or("", LocationId::as_str).as_bytes());
        record.extend_from_slice(&place.file.to_le_bytes());
        record.extend_from_slice(&place.row.to_le_bytes());
        for word in &words[..tag.n_words()] {
            record.extend_from_slice(&word.to_le_bytes());
        }
        if tag == Tag::Facts {
            put_text(record, text);
        }
        self.counts[tag as usize] += 1;
        if record.len() < BUFFER_BYTES { Ok(()) } else { self.flush(bucket) }
    }

    /// Writes what is still held.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        for bucket in 0..BUCKETS {
            self.flush(bucket)?;
        }
        for (all, ours) in self.spill.counts.iter().zip(self.counts) {
            all.fetch_add(ours, Relaxed);
        }
        Ok(())
    }

    fn flush(&mut self, bucket: usize) -> Result<(), Error> {
        let rows = &mut self.buffers[bucket];
        if rows.is_empty() {
            return Ok(());
        }
        let path = path_of(&self.spill.folder, bucket);
        let failed = |source| Error::File { path: path.clone(), source };
        // A worker that panicked has written whole rows or none.
        let mut file = self.spill.buckets[bucket].lock().unwrap_or_else(PoisonError::into_inner);
        let file = match &mut *file {
            Some(file) => file,
            empty => empty.insert(File::create(&path).map_err(failed)?),
        };
        file.write_all(rows).map_err(failed)?;
        self.spill.bytes.fetch_add(rows.len() as u64, Relaxed);
        rows.clear();
        Ok(())
    }
}

impl Spill {
    pub(crate) fn create(folder: PathBuf) -> Result<Self, Error> {
        fs::create_dir(&folder).map_err(|source| Error::File { path: folder.clone(), source })?;
        let buckets = (0..BUCKETS).map(|_| Mutex::default()).collect();
        Ok(Self { folder, buckets, bytes: AtomicU64::default(), counts: Default::default() })
    }

    pub(crate) fn writer(&self) -> Writer<'_> {
        let buffers = (0..BUCKETS).map(|_| Vec::new()).collect();
        Writer { spill: self, buffers, counts: [0; Tag::ALL.len()] }
    }

    /// Rows of a kind written so far.
    pub(crate) fn count(&self, tag: Tag) -> u64 {
        self.counts[tag as usize].load(Relaxed)
    }

    /// As many partitions as keep within the memory limit, a power of two.
    pub(crate) fn n_partitions(&self, memory_limit_bytes: u64) -> usize {
        let needed = self.bytes.load(Relaxed) * MEMORY_PER_BYTE * PARTITIONS_AT_ONCE as u64;
        let n_partitions = needed.div_ceil(memory_limit_bytes.max(1)).next_power_of_two();
        (n_partitions as usize).clamp(1, BUCKETS)
    }

    /// Reads all rows of a partition.
    pub(crate) fn read(&self, partition: usize, n_partitions: usize) -> Result<Bucketful, Error> {
        let mut bucketful = Bucketful::default();
        for bucket in (partition..BUCKETS).step_by(n_partitions) {
            let path = path_of(&self.folder, bucket);
            if !path.exists() {
                continue;
            }
            let bytes = fs::read(&path).map_err(|source| Error::File { path, source })?;
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                bucketful
                    .take(&mut rest)
                    .ok_or_else(|| Error::Internal("a spilled row cannot be read back".into()))?;
            }
        }
        bucketful.rank();
        Ok(bucketful)
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        // Closing before removing; that the folder stays behind is no reason to fail.
        self.buckets.clear();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn path_of(folder: &Path, bucket: usize) -> PathBuf {
    folder.join(format!("bucket-{bucket:02}"))
}

/// The rows of a partition, by kind.
#[derive(Debug, Default)]
pub(crate) struct Bucketful {
    /// Sorted once read.
    pub(crate) series: Vec<Series>,
    pub(crate) entries: [Vec<Entry>; Tag::ALL.len()],
    /// Texts of the facts, by their last word.
    pub(crate) texts: Vec<Vec<u8>>,
    known: std::collections::BTreeMap<(Vec<u8>, Option<Vec<u8>>), u32>,
    last: Option<(Vec<u8>, Option<Vec<u8>>, u32)>,
}

impl Bucketful {
    /// The rows of one kind.
    pub(crate) fn of(&self, tag: Tag) -> &[Entry] {
        &self.entries[tag as usize]
    }

    /// Takes one row off the front.
    fn take(&mut self, rest: &mut &[u8]) -> Option<()> {
        let tag = *Tag::ALL.get(usize::from(take_bytes(rest, 1)?[0]))?;
        let product = take_text(rest)?;
        let has_location = take_bytes(rest, 1)?[0] == 1;
        let location = take_text(rest)?;
        let series = self.number(product, has_location.then_some(location))?;
        let file = u32::from_le_bytes(take_bytes(rest, 4)?.try_into().ok()?);
        let row = u64::from_le_bytes(take_bytes(rest, 8)?.try_into().ok()?);
        let mut words = [0; WORDS];
        let (bytes, _) = take_bytes(rest, 8 * tag.n_words())?.as_chunks();
        for (word, bytes) in words.iter_mut().zip(bytes) {
            *word = u64::from_le_bytes(*bytes);
        }
        if tag == Tag::Facts {
            words[WORDS - 1] = self.texts.len() as u64;
            self.texts.push(take_text(rest)?.to_vec());
        }
        self.entries[tag as usize].push(Entry { series, place: Place { file, row }, words });
        Some(())
    }

    /// The series' number in order of appearance.
    fn number(&mut self, product: &[u8], location: Option<&[u8]>) -> Option<u32> {
        if let Some((last_product, last_location, number)) = &self.last
            && last_product == product
            && last_location.as_deref() == location
        {
            return Some(*number);
        }
        let key = (product.to_vec(), location.map(<[u8]>::to_vec));
        let number = if let Some(number) = self.known.get(&key) {
            *number
        } else {
            let number = self.series.len() as u32;
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
            let product = ProductId::from(text(product)?);
            let location = match location {
                Some(location) => Some(LocationId::from(text(location)?)),
                None => None,
            };
            self.series.push(Series { product, location });
            self.known.insert(key.clone(), number);
            number
        };
        self.last = Some((key.0, key.1, number));
        Some(number)
    }

    /// Sorts the series and renumbers the rows, so that comparing numbers compares series.
    fn rank(&mut self) {
        self.known.clear();
        self.last = None;
        let mut order: Vec<u32> = (0..self.series.len() as u32).collect();
        order.sort_by(|&a, &b| self.series[a as usize].cmp(&self.series[b as usize]));
        let mut ranks = vec![0; order.len()];
        for (rank, &number) in order.iter().enumerate() {
            ranks[number as usize] = rank as u32;
        }
        for entry in self.entries.iter_mut().flatten() {
            entry.series = ranks[entry.series as usize];
        }
        self.series.sort();
    }
}

fn put_text(record: &mut Vec<u8>, text: &[u8]) {
    record.extend_from_slice(&(text.len() as u32).to_le_bytes());
    record.extend_from_slice(text);
}

fn take_bytes<'a>(rest: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(n)?;
    *rest = left;
    Some(taken)
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_le_bytes(take_bytes(rest, 4)?.try_into().ok()?);
    take_bytes(rest, length as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_in_partitions_by_product() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("spill");
        let spill = Spill::create(path.clone()).expect("a spill");
        let mut writer = spill.writer();
        for row in 0..100_u64 {
            let product = format!("p{}", row % 7).as_str().into();
            let location = (row % 2 == 0).then(|| LocationId::from("x"));
            let place = Place { file: 1, row };
            let words = [row, 2, 3, f64::NAN.to_bits()];
            writer
                .write(Tag::Event, &Series { product, location }, place, (&words, b""))
                .expect("written");
        }
        writer.finish().expect("flushed");
        assert_eq!(spill.count(Tag::Event), 100);
        let n_partitions = spill.n_partitions(50_000);
        assert!(n_partitions > 1 && n_partitions.is_power_of_two());
        let mut rows = Vec::new();
        for partition in 0..n_partitions {
            let read = spill.read(partition, n_partitions).expect("read");
            assert!(read.series.is_sorted());
            for entry in read.of(Tag::Event) {
                let product = format!("p{}", entry.place.row % 7);
                assert_eq!(read.series[entry.series as usize].product.as_str(), product);
                assert_eq!(entry.words[0], entry.place.row);
                rows.push(entry.place.row);
            }
        }
        rows.sort_unstable();
        assert_eq!(rows, (0..100).collect::<Vec<_>>());
        drop(spill);
        assert!(!path.exists());
    }
}
