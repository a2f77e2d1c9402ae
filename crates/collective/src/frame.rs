//! Frames: what ranks send each other, and how one is held against what may come next.
//!
//! ```text
//! bytes  0  2  magic 0x4c43 ("CL")         16  4  sequence number of the operation
//!        2  1  version                     20  2  from rank
//!        3  1  kind                        22  2  step
//!        4  4  payload length in bytes     24  4  chunk
//!        8  8  generation                  28  4  CRC-32 of bytes 0 to 28 and of the payload
//! ```
//!
//! All numbers are little-endian. A frame is refused before its payload is looked at, or room made
//! for it, if its length passes the limit. What is wrong is a [`FrameError`]; no bytes panic.

/// Bytes of a header.
pub const HEADER_LEN: usize = 32;

/// First bytes of each frame.
const MAGIC: u16 = 0x4c43;

/// Version of frames and of their order; ranks of different versions refuse each other.
const VERSION: u8 = 1;

/// What a frame is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The first frame on a connection: who connects.
    Hello = 1,
    /// Its answer: the connection is taken.
    Welcome = 2,
    /// Its other answer: it is not, and the header says which generation runs here.
    Refusal = 3,
    /// Sent by a rank that has nothing to send, so that silence means trouble.
    Alive = 4,
    /// All-reduce with 32-bit values.
    Reduce = 5,
    /// All-reduce with 16-bit values.
    ReduceHalf = 6,
    /// Broadcast.
    Broadcast = 7,
    /// Lengths of an all-gather.
    Lengths = 8,
    /// All-gather.
    Gather = 9,
    /// Barrier.
    Barrier = 10,
}

impl Kind {
    const ALL: [Self; 10] = [
        Self::Hello,
        Self::Welcome,
        Self::Refusal,
        Self::Alive,
        Self::Reduce,
        Self::ReduceHalf,
        Self::Broadcast,
        Self::Lengths,
        Self::Gather,
        Self::Barrier,
    ];
}

/// What stands before each payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the frame is part of.
    pub kind: Kind,
    /// Generation of the group.
    pub generation: u64,
    /// How many operations the group has begun before.
    pub sequence: u32,
    /// Rank of the sender.
    pub from: u16,
    /// Step of the operation.
    pub step: u16,
    /// Part of the step's segment.
    pub chunk: u32,
}

/// Why bytes are not the frame that is due.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes end too early, or go on too long.
    #[error("has {found} bytes, not {expected}")]
    Length {
        /// Bytes that there should be.
        expected: usize,
        /// Bytes that there are.
        found: usize,
    },
    /// It is longer than any frame may be.
    #[error("has a payload of {found} bytes, at most {limit} may be")]
    Oversize {
        /// Bytes announced.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// No frame of ours begins so.
    #[error("does not begin as a frame of this version")]
    Foreign,
    /// No kind has this number.
    #[error("is of no known kind ({found})")]
    Kind {
        /// The number.
        found: u8,
    },
    /// Some byte changed on the way.
    #[error("is damaged: its checksum differs")]
    Checksum,
    /// It belongs to another generation.
    #[error("is of generation {found}, not {expected}")]
    Generation {
        /// This rank's generation.
        expected: u64,
        /// The frame's.
        found: u64,
    },
    /// It comes from another rank than the neighbour.
    #[error("is from rank {found}, not {expected}")]
    Rank {
        /// The neighbour.
        expected: u16,
        /// The sender.
        found: u16,
    },
    /// The ranks do different things, or the same in another order.
    #[error("is of operation {found_sequence} ({found:?}), not {sequence} ({expected:?})")]
    Operation {
        /// Kind of this rank's operation.
        expected: Kind,
        /// Kind of the frame.
        found: Kind,
        /// Sequence number of this rank's operation.
        sequence: u32,
        /// Sequence number of the frame.
        found_sequence: u32,
    },
    /// It is not the next one of the operation.
    #[error("is chunk {found_chunk} of step {found_step}, not {chunk} of {step}")]
    Order {
        /// Step that is due.
        step: u16,
        /// Chunk that is due.
        chunk: u32,
        /// Step of the frame.
        found_step: u16,
        /// Chunk of the frame.
        found_chunk: u32,
    },
    /// Its 16-bit values have a scale that no sender writes.
    #[error("has an impossible scale")]
    Scale,
}

impl Header {
    /// Writes header and checksum before a payload. `frame` begins with [`HEADER_LEN`] bytes of
    /// any content; the payload follows them.
    ///
    /// # Panics
    ///
    /// If `frame` is shorter than a header, or its payload longer than 4 GiB.
    pub fn seal(&self, frame: &mut [u8]) {
        let (header, payload) = frame.split_at_mut(HEADER_LEN);
        let length = u32::try_from(payload.len()).expect("chunks are far below 4 GiB");
        header[0..2].copy_from_slice(&MAGIC.to_le_bytes());
        header[2] = VERSION;
        header[3] = self.kind as u8;
        header[4..8].copy_from_slice(&length.to_le_bytes());
        header[8..16].copy_from_slice(&self.generation.to_le_bytes());
        header[16..20].copy_from_slice(&self.sequence.to_le_bytes());
        header[20..22].copy_from_slice(&self.from.to_le_bytes());
        header[22..24].copy_from_slice(&self.step.to_le_bytes());
        header[24..28].copy_from_slice(&self.chunk.to_le_bytes());
        let checksum = checksum(header, payload);
        header[28..32].copy_from_slice(&checksum.to_le_bytes());
    }

    /// A frame of this header and `payload`.
    pub fn frame(&self, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; HEADER_LEN];
        frame.extend_from_slice(payload);
        self.seal(&mut frame);
        frame
    }

    /// Reads a header, with the length of the payload that has to follow, in bytes.
    pub fn read(bytes: &[u8; HEADER_LEN], payload_max: usize) -> Result<(Self, usize), FrameError> {
        if bytes[0..2] != MAGIC.to_le_bytes() || bytes[2] != VERSION {
            return Err(FrameError::Foreign);
        }
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == bytes[3]);
        let kind = kind.ok_or(FrameError::Kind { found: bytes[3] })?;
        let length = u32::from_le_bytes(array(bytes, 4)) as usize;
        if length > payload_max {
            return Err(FrameError::Oversize { found: length, limit: payload_max });
        }
        let header = Self {
            kind,
            generation: u64::from_le_bytes(array(bytes, 8)),
            sequence: u32::from_le_bytes(array(bytes, 16)),
            from: u16::from_le_bytes(array(bytes, 20)),
            step: u16::from_le_bytes(array(bytes, 22)),
            chunk: u32::from_le_bytes(array(bytes, 24)),
        };
        Ok((header, length))
    }
}

/// Reads a whole frame: its header and its payload, of at most `payload_max` bytes.
pub fn decode(frame: &[u8], payload_max: usize) -> Result<(Header, &[u8]), FrameError> {
    let Some((header, payload)) = frame.split_first_chunk::<HEADER_LEN>() else {
        return Err(FrameError::Length { expected: HEADER_LEN, found: frame.len() });
    };
    let (read, length) = Header::read(header, payload_max)?;
    if payload.len() != length {
        return Err(FrameError::Length { expected: HEADER_LEN + length, found: frame.len() });
    }
    if checksum(header, payload) != u32::from_le_bytes(array(header, 28)) {
        return Err(FrameError::Checksum);
    }
    Ok((read, payload))
}

fn checksum(header: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[..28]);
    hasher.update(payload);
    hasher.finalize()
}

fn array<const N: usize>(bytes: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[at + i])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> impl Strategy<Value = Header> {
        let numbers = any::<(u64, u32, u16, u16, u32)>();
        (0..Kind::ALL.len(), numbers).prop_map(
            |(kind, (generation, sequence, from, step, chunk))| Header {
                kind: Kind::ALL[kind],
                generation,
                sequence,
                from,
                step,
                chunk,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            header in header(),
            payload in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let frame = header.frame(&payload);
            prop_assert_eq!(decode(&frame, 100), Ok((header, &payload[..])));
        }

        #[test]
        fn any_bytes_are_an_error_or_a_frame(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            prop_assert!(decode(&bytes, 100).is_err());
        }

        #[test]
        fn a_cut_longer_or_altered_frame_is_an_error(
            header in header(),
            payload in prop::collection::vec(any::<u8>(), 0..100),
            at in any::<prop::sample::Index>(),
            flip in 1_u8..,
        ) {
            let frame = header.frame(&payload);
            let at = at.index(frame.len());
            prop_assert!(decode(&frame[..at], 100).is_err());
            let mut altered = frame.clone();
            altered[at] ^= flip;
            prop_assert!(decode(&altered, 100).is_err());
            let longer = [&frame[..], &[flip]].concat();
            prop_assert!(decode(&longer, 100).is_err());
        }
    }

    #[test]
    fn no_room_is_made_for_what_is_too_long() {
        let header =
            Header { kind: Kind::Reduce, generation: 1, sequence: 0, from: 0, step: 0, chunk: 0 };
        let mut frame = header.frame(&[0; 8]);
        assert_eq!(decode(&frame, 7), Err(FrameError::Oversize { found: 8, limit: 7 }));
        frame[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        let limit = 1 << 20;
        assert_eq!(
            decode(&frame, limit),
            Err(FrameError::Oversize { found: u32::MAX as usize, limit })
        );
    }
}
