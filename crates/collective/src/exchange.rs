//! One operation of one rank, as a state machine without IO: frames in, frames out.
//!
//! Ranks form a ring; each sends to the next one only. All-reduce is bandwidth-optimal
//! (P. Patarasuk and X. Yuan, "Bandwidth optimal all-reduce algorithms for clusters of
//! workstations", J. Parallel Distrib. Comput. 69, 2009): the values are cut into as many segments
//! as there are ranks. In step `s`, rank `r` sends segment `r - s` and receives segment `r - s - 1`
//! (modulo `n_ranks`). In the first `n_ranks - 1` steps it adds what it receives (reduce-scatter),
//! after which it holds one segment's whole sum; in the next `n_ranks - 1` steps it takes what it
//! receives (all-gather). Each rank sends `2 (n_ranks - 1) / n_ranks` of the values.
//!
//! Segments travel in chunks, and a chunk is sent on as soon as it was received, so that all links
//! work at once. Frames of a link come in order, steps first, then chunks; anything else is an
//! error. A segment's sum is always taken in the order of the ring from the same rank on, and is
//! finished by one rank, so that results are equal to the bit on all ranks and in all runs.

use std::ops::{DerefMut, Range};

use crate::frame::{self, FrameError, HEADER_LEN, Header, Kind};
use crate::payload::Precision;

/// A rank's place in a generation of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Which generation.
    pub generation: u64,
    /// This rank, below `n_ranks`.
    pub rank: usize,
    /// World size.
    pub n_ranks: usize,
    /// Values of a chunk at most; the same on all ranks, and at least 1.
    pub chunk_len: usize,
}

impl Session {
    /// The rank that this one sends to.
    pub fn next(&self) -> usize {
        (self.rank + 1) % self.n_ranks
    }

    /// The rank that this one receives from.
    pub fn previous(&self) -> usize {
        (self.rank + self.n_ranks - 1) % self.n_ranks
    }

    /// Bytes of the longest payload.
    pub fn payload_max(&self) -> usize {
        let full = Precision::Full.encoded_len(self.chunk_len);
        full.max(Precision::Half.encoded_len(self.chunk_len))
    }

    /// The header of a frame of this rank that is not part of an operation.
    pub(crate) fn header(&self, kind: Kind) -> Header {
        let (generation, from) = (self.generation, self.rank as u16);
        Header { kind, generation, sequence: 0, from, step: 0, chunk: 0 }
    }

    /// Holds a frame's generation and sender against the neighbour's.
    pub(crate) fn check(&self, header: &Header) -> Result<(), FrameError> {
        if header.generation != self.generation {
            let (expected, found) = (self.generation, header.generation);
            return Err(FrameError::Generation { expected, found });
        }
        let expected = self.previous() as u16;
        if header.from != expected {
            return Err(FrameError::Rank { expected, found: header.from });
        }
        Ok(())
    }
}

/// Step and chunk, in the order of sending.
type Cursor = (usize, usize);

/// An operation under way, on values that it borrows or owns.
#[derive(Debug)]
pub struct Exchange<V> {
    session: Session,
    kind: Kind,
    sequence: u32,
    values: V,
    /// What the values are cut into: one by rank, or one in all.
    segments: Vec<Range<usize>>,
    /// In these steps what is received is added.
    adds: Range<usize>,
    receives: Range<usize>,
    sends: Range<usize>,
    next_in: Cursor,
    next_out: Cursor,
}

impl<V: DerefMut<Target = [f32]>> Exchange<V> {
    /// Sums the values of all ranks, place by place.
    pub fn all_reduce(session: Session, sequence: u32, values: V, precision: Precision) -> Self {
        let kind = match precision {
            Precision::Full => Kind::Reduce,
            Precision::Half => Kind::ReduceHalf,
        };
        Self::reduce(session, sequence, values, kind)
    }

    /// Ends on a rank only when all have begun. `values` has one place by rank, of any content.
    pub fn barrier(session: Session, sequence: u32, values: V) -> Self {
        Self::reduce(session, sequence, values, Kind::Barrier)
    }

    fn reduce(session: Session, sequence: u32, values: V, kind: Kind) -> Self {
        let n = session.n_ranks;
        let segments = even_segments(values.len(), n);
        let mut exchange = Self::around(session, (kind, sequence), values, segments);
        (exchange.receives, exchange.sends) = (0..2 * (n - 1), 0..2 * (n - 1));
        exchange.adds = 0..n - 1;
        exchange.settled()
    }

    /// Gives each rank the segments of all; `segments` cuts the values, and is the same on all ranks.
    pub fn all_gather(
        session: Session,
        sequence: u32,
        values: V,
        segments: Vec<Range<usize>>,
    ) -> Self {
        Self::gather(session, (Kind::Gather, sequence), values, segments)
    }

    /// An all-gather of one value by rank, which says how long a following one will be.
    pub(crate) fn lengths(session: Session, sequence: u32, values: V) -> Self {
        let segments = even_segments(values.len(), session.n_ranks);
        Self::gather(session, (Kind::Lengths, sequence), values, segments)
    }

    fn gather(
        session: Session,
        operation: (Kind, u32),
        values: V,
        segments: Vec<Range<usize>>,
    ) -> Self {
        let mut exchange = Self::around(session, operation, values, segments);
        (exchange.receives, exchange.sends) = (0..session.n_ranks - 1, 0..session.n_ranks - 1);
        exchange.settled()
    }

    /// Gives all ranks the values of one, along the ring.
    pub fn broadcast(session: Session, sequence: u32, values: V, root: usize) -> Self {
        let whole = std::iter::once(0..values.len()).collect();
        let n = session.n_ranks;
        let distance = (session.rank + n - root) % n;
        let mut exchange = Self::around(session, (Kind::Broadcast, sequence), values, whole);
        exchange.receives = distance.saturating_sub(1)..distance;
        exchange.sends = distance..(distance + 1).min(n - 1);
        exchange.settled()
    }

    fn around(
        session: Session,
        (kind, sequence): (Kind, u32),
        values: V,
        segments: Vec<Range<usize>>,
    ) -> Self {
        Self {
            session,
            kind,
            sequence,
            values,
            segments,
            adds: 0..0,
            receives: 0..0,
            sends: 0..0,
            next_in: (0, 0),
            next_out: (0, 0),
        }
    }

    fn settled(mut self) -> Self {
        self.next_in = self.settle((self.receives.start, 0), &self.receives, 1);
        self.next_out = self.settle((self.sends.start, 0), &self.sends, 0);
        self
    }

    /// Whether nothing is left to send or to receive.
    pub fn is_done(&self) -> bool {
        !self.is_receiving() && self.next_out.0 >= self.sends.end
    }

    /// The values: the result, once the operation is done.
    pub fn into_values(self) -> V {
        self.values
    }

    /// Whether frames are still to come.
    pub fn is_receiving(&self) -> bool {
        self.next_in.0 < self.receives.end
    }

    /// Whether a frame can be sent now.
    pub fn can_send(&self) -> bool {
        let (step, chunk) = self.next_out;
        step < self.sends.end && (step == 0 || (step - 1, chunk) < self.next_in)
    }

    /// Writes the next frame to send over `frame`; `false` where there is none now.
    pub fn send(&mut self, frame: &mut Vec<u8>) -> bool {
        if !self.can_send() {
            return false;
        }
        let (step, chunk) = self.next_out;
        frame.clear();
        frame.resize(HEADER_LEN, 0);
        let range = self.chunk(step, chunk, 0);
        self.precision().encode(&self.values[range], frame);
        let header = Header {
            sequence: self.sequence,
            step: step as u16,
            chunk: chunk as u32,
            ..self.session.header(self.kind)
        };
        header.seal(frame);
        self.next_out = self.settle((step, chunk + 1), &self.sends, 0);
        true
    }

    /// Takes a frame from the previous rank. After an error the operation cannot go on.
    pub fn receive(&mut self, frame: &[u8]) -> Result<(), FrameError> {
        let (header, payload) = frame::decode(frame, self.session.payload_max())?;
        self.session.check(&header)?;
        if (header.kind, header.sequence) != (self.kind, self.sequence) {
            return Err(FrameError::Operation {
                expected: self.kind,
                found: header.kind,
                sequence: self.sequence,
                found_sequence: header.sequence,
            });
        }
        let (step, chunk) = self.next_in;
        if (header.step as usize, header.chunk as usize) != (step, chunk) || !self.is_receiving() {
            return Err(FrameError::Order {
                step: step as u16,
                chunk: chunk as u32,
                found_step: header.step,
                found_chunk: header.chunk,
            });
        }
        let (range, precision) = (self.chunk(step, chunk, 1), self.precision());
        let values = &mut self.values[range];
        if self.adds.contains(&step) {
            precision.decode(payload, values, |sum, value| *sum += value)?;
        } else {
            precision.decode(payload, values, |place, value| *place = value)?;
        }
        if step + 1 == self.adds.end {
            precision.round(values); // this rank holds the whole sum, and shall hold what others get
        }
        self.next_in = self.settle((step, chunk + 1), &self.receives, 1);
        Ok(())
    }

    fn precision(&self) -> Precision {
        if self.kind == Kind::ReduceHalf { Precision::Half } else { Precision::Full }
    }

    /// The segment of a step: sent with `behind` 0, received with 1.
    fn segment(&self, step: usize, behind: usize) -> &Range<usize> {
        let n = self.session.n_ranks;
        let segment = (self.session.rank + 2 * n - step - behind) % n;
        self.segments.get(segment).unwrap_or(&self.segments[0]) // of a broadcast there is one
    }

    fn chunk(&self, step: usize, chunk: usize, behind: usize) -> Range<usize> {
        let segment = self.segment(step, behind);
        let from = segment.start + chunk * self.session.chunk_len;
        from..(from + self.session.chunk_len).min(segment.end)
    }

    /// The cursor itself, or the beginning of the next step that has values.
    fn settle(&self, cursor: Cursor, steps: &Range<usize>, behind: usize) -> Cursor {
        let (mut step, mut chunk) = cursor;
        let n_chunks = |step| self.segment(step, behind).len().div_ceil(self.session.chunk_len);
        while step < steps.end && chunk >= n_chunks(step) {
            (step, chunk) = (step + 1, 0);
        }
        (step, chunk)
    }
}

/// Cuts `0..len` into `n` ranges, the first ones longer by 1 where it does not divide.
pub fn even_segments(len: usize, n: usize) -> Vec<Range<usize>> {
    let start = |i: usize| i * (len / n) + i.min(len % n);
    (0..n).map(|i| start(i)..start(i + 1)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn session(rank: usize, n_ranks: usize) -> Session {
        Session { generation: 3, rank, n_ranks, chunk_len: 4 }
    }

    /// Runs all ranks' exchanges to the end, the next one to move drawn by `draw`; bytes sent.
    fn run(
        exchanges: &mut [Exchange<&mut [f32]>],
        mut draw: impl FnMut(usize) -> usize,
    ) -> Vec<usize> {
        let n = exchanges.len();
        let mut links = vec![VecDeque::new(); n];
        let mut n_bytes = vec![0; n];
        let mut frame = Vec::new();
        while exchanges.iter().any(|exchange| !exchange.is_done()) {
            let rank = draw(n);
            if exchanges[rank].send(&mut frame) {
                n_bytes[rank] += frame.len();
                links[(rank + 1) % n].push_back(frame.clone());
            }
            if let Some(frame) = links[rank].pop_front() {
                exchanges[rank].receive(&frame).unwrap();
            }
        }
        assert!(links.iter().all(VecDeque::is_empty));
        n_bytes
    }

    fn values(rank: usize, len: usize) -> Vec<f32> {
        (0..len).map(|i| ((rank * 31 + i * 7) % 13) as f32 - 6.0).collect()
    }

    proptest! {
        #[test]
        fn sums_come_out_whichever_rank_is_faster(
            n in 1_usize..6,
            len in 0_usize..60,
            half in any::<bool>(),
            draws in prop::collection::vec(any::<prop::sample::Index>(), 50),
        ) {
            let mut all: Vec<_> = (0..n).map(|rank| values(rank, len)).collect();
            let expected: Vec<f32> =
                (0..len).map(|i| all.iter().map(|values| values[i]).sum()).collect();
            let precision = if half { Precision::Half } else { Precision::Full };
            let mut exchanges: Vec<_> = all.iter_mut().enumerate().map(|(rank, values)| {
                Exchange::all_reduce(session(rank, n), 1, &mut values[..], precision)
            }).collect();
            let mut draws = draws.iter().cycle().enumerate();
            run(&mut exchanges, |n| {
                let (i, draw) = draws.next().unwrap();
                (draw.index(n) + i) % n
            });
            for values in all {
                prop_assert_eq!(&values, &expected);
            }
        }
    }

    #[test]
    fn a_rank_sends_what_the_optimum_says() {
        let (n, len) = (4, 4_000);
        let mut all: Vec<_> = (0..n).map(|rank| values(rank, len)).collect();
        let mut exchanges: Vec<_> = (0..n)
            .zip(&mut all)
            .map(|(rank, values)| {
                let session = Session { chunk_len: 1_000, ..session(rank, n) };
                Exchange::all_reduce(session, 1, &mut values[..], Precision::Full)
            })
            .collect();
        let mut turn = 0;
        let n_bytes = run(&mut exchanges, |n| {
            turn += 1;
            turn % n
        });
        let optimum = 2 * (n - 1) * len * 4 / n;
        assert_eq!(n_bytes, vec![optimum + 2 * (n - 1) * HEADER_LEN; n]);
    }

    #[test]
    fn frames_that_are_not_due_are_refused() {
        let mut sent = values(1, 10);
        let mut frame = Vec::new();
        assert!(
            Exchange::all_reduce(session(1, 2), 7, &mut sent[..], Precision::Full).send(&mut frame)
        );
        let receive = |session: Session, sequence: u32, n_values: usize, frame: &[u8]| {
            let mut values = values(0, n_values);
            let mut exchange =
                Exchange::all_reduce(session, sequence, &mut values[..], Precision::Full);
            exchange.receive(frame).and_then(|()| exchange.receive(frame))
        };
        let here = session(0, 2);
        let is_twice = |error| matches!(error, Err(FrameError::Order { .. }));
        assert!(is_twice(receive(here, 7, 10, &frame)));
        let error = receive(Session { generation: 4, ..here }, 7, 10, &frame);
        assert_eq!(error, Err(FrameError::Generation { expected: 4, found: 3 }));
        let error = receive(session(0, 3), 7, 10, &frame);
        assert_eq!(error, Err(FrameError::Rank { expected: 2, found: 1 }));
        assert!(matches!(receive(here, 8, 10, &frame), Err(FrameError::Operation { .. })));
        assert!(matches!(receive(here, 7, 4, &frame), Err(FrameError::Length { .. })));
        let error = receive(here, 7, 10, &frame[..20]);
        assert_eq!(error, Err(FrameError::Length { expected: HEADER_LEN, found: 20 }));
    }
}
