//! Neighbours that say the wrong thing, or nothing: over TCP, byte by byte.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use collective::frame::{FrameError, HEADER_LEN, Header, Kind};
use collective::rendezvous::Assignment;
use collective::tcp::{Limits, Listener, Tcp, connect};
use collective::{CHUNK_LEN, Collective, Error, Precision, Reduction};

use crate::groups::{clock, config, listeners, quick_limits, strange_tls, tls};

const GENERATION: u64 = 7;

fn header(kind: Kind) -> Header {
    Header { kind, generation: GENERATION, sequence: 0, from: 1, step: 0, chunk: 0 }
}

/// The hello of rank 1 of 2.
fn hello(generation: u64, from: u16) -> Vec<u8> {
    let payload = [2_u32.to_le_bytes(), (CHUNK_LEN as u32).to_le_bytes()].concat();
    Header { generation, from, ..header(Kind::Hello) }.frame(&payload)
}

/// Rank 0 of 2, connected to a rank 1 that is played by the test: what it sends to rank 0, and
/// what it has from it.
fn rank_with_neighbour(limits: Limits) -> (Tcp, TcpStream, TcpStream) {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let neighbour = TcpListener::bind("127.0.0.1:0").unwrap();
    let addresses: Vec<_> = [listener.address(), neighbour.local_addr().unwrap()]
        .iter()
        .map(ToString::to_string)
        .collect();
    thread::scope(|scope| {
        let address = addresses[0].clone();
        let assignment = Assignment { generation: GENERATION, rank: 0, addresses };
        let config = config(limits, None);
        let rank = scope.spawn(move || connect(listener, &assignment, &config).unwrap());
        let mut to_rank = TcpStream::connect(address).unwrap();
        to_rank.write_all(&hello(GENERATION, 1)).unwrap();
        let (mut from_rank, _) = neighbour.accept().unwrap();
        let mut greeting = [0; HEADER_LEN + 8];
        from_rank.read_exact(&mut greeting).unwrap();
        from_rank.write_all(&header(Kind::Welcome).frame(&[])).unwrap();
        to_rank.read_exact(&mut greeting[..HEADER_LEN]).unwrap();
        (rank.join().unwrap(), to_rank, from_rank)
    })
}

/// The error of an all-reduce of 4 values, whose neighbour sends these bytes, and closes or not.
fn error_after(bytes: &[u8], closes: bool) -> Error {
    let (mut rank, mut to_rank, _from_rank) = rank_with_neighbour(quick_limits());
    to_rank.write_all(bytes).unwrap();
    let open = (!closes).then_some(to_rank);
    let error = rank.all_reduce(&mut [1.0; 4], Reduction::Sum, Precision::Full).unwrap_err();
    drop(open);
    assert!(matches!(rank.barrier(), Err(Error::Broken)));
    error
}

fn frame_error_after(bytes: &[u8], closes: bool) -> FrameError {
    match error_after(bytes, closes) {
        Error::Frame { rank: 1, source } => source,
        error => panic!("another error: {error}"),
    }
}

#[test]
fn a_neighbour_that_does_as_it_should_is_answered() {
    let (mut rank, mut to_rank, mut from_rank) = rank_with_neighbour(quick_limits());
    let payload: Vec<u8> = [2.0_f32, 3.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    to_rank.write_all(&header(Kind::Alive).frame(&[])).unwrap();
    to_rank.write_all(&header(Kind::Reduce).frame(&payload)).unwrap();
    to_rank.write_all(&Header { step: 1, ..header(Kind::Reduce) }.frame(&payload)).unwrap();
    let mut values = [1.0; 4];
    rank.all_reduce(&mut values, Reduction::Sum, Precision::Full).unwrap();
    assert_eq!(values, [2.0, 3.0, 3.0, 4.0]);
    let mut sent = [0; HEADER_LEN + 8];
    from_rank.read_exact(&mut sent).unwrap();
}

#[test]
fn wrong_frames_are_named() {
    let reduce = header(Kind::Reduce);
    let stale = Header { generation: GENERATION - 1, ..reduce }.frame(&[0; 8]);
    let expected = FrameError::Generation { expected: GENERATION, found: GENERATION - 1 };
    assert_eq!(frame_error_after(&stale, false), expected);
    let stranger = Header { from: 2, ..reduce }.frame(&[0; 8]);
    let expected = FrameError::Rank { expected: 1, found: 2 };
    assert_eq!(frame_error_after(&stranger, false), expected);
    let short = reduce.frame(&[0; 4]);
    assert_eq!(frame_error_after(&short, false), FrameError::Length { expected: 8, found: 4 });
    let mut damaged = reduce.frame(&[0; 8]);
    damaged[HEADER_LEN] = 1;
    assert_eq!(frame_error_after(&damaged, false), FrameError::Checksum);
    assert_eq!(frame_error_after(&[0; HEADER_LEN], false), FrameError::Foreign);
    let other = header(Kind::Broadcast).frame(&[0; 8]);
    assert!(matches!(frame_error_after(&other, false), FrameError::Operation { .. }));
}

#[test]
fn cut_frames_are_named() {
    let frame = header(Kind::Reduce).frame(&[0; 8]);
    let expected = FrameError::Length { expected: HEADER_LEN + 8, found: HEADER_LEN + 5 };
    assert_eq!(frame_error_after(&frame[..HEADER_LEN + 5], true), expected);
    let expected = FrameError::Length { expected: HEADER_LEN, found: 9 };
    assert_eq!(frame_error_after(&frame[..9], true), expected);
    assert!(matches!(error_after(&[], true), Error::Closed { rank: 1, .. }));
}

#[test]
fn too_long_a_frame_is_refused_before_it_comes() {
    let mut frame = header(Kind::Reduce).frame(&[0; 8]);
    frame[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    let found = u32::MAX as usize;
    let error = frame_error_after(&frame[..HEADER_LEN], false);
    assert_eq!(error, FrameError::Oversize { found, limit: 4 * CHUNK_LEN });
}

#[test]
fn silence_is_noticed_in_time() {
    let (mut rank, _to_rank, _from_rank) = rank_with_neighbour(quick_limits());
    let clock = clock();
    let error = rank.barrier().unwrap_err();
    assert!(matches!(error, Error::Silent { rank: 1, .. }), "{error}");
    let limit = quick_limits().silence_max;
    assert!(clock() >= limit && clock() < limit + Duration::from_secs(3), "{:?}", clock());
}

#[test]
fn a_rank_that_lives_and_never_comes_is_not_waited_for_for_ever() {
    let limits = Limits { operation_max: Duration::from_secs(2), ..quick_limits() };
    let (mut rank, to_rank, _from_rank) = rank_with_neighbour(limits);
    let error = thread::scope(|scope| {
        let mut to_close = to_rank.try_clone().unwrap();
        scope.spawn(move || {
            let alive = header(Kind::Alive).frame(&[]);
            while to_close.write_all(&alive).is_ok() {
                thread::yield_now();
            }
        });
        let error = rank.barrier().unwrap_err();
        // Nobody reads any more: whoever still writes must find the connection closed.
        drop(rank);
        error
    });
    assert!(matches!(error, Error::Overdue { .. }), "{error}");
}

#[test]
fn an_operation_is_aborted_from_another_thread() {
    let (mut rank, _to_rank, _from_rank) = rank_with_neighbour(quick_limits());
    let aborter = rank.aborter();
    let error = thread::scope(|scope| {
        let operation = scope.spawn(move || rank.barrier().unwrap_err());
        aborter.abort();
        operation.join().unwrap()
    });
    assert!(matches!(error, Error::Aborted), "{error}");
}

#[test]
fn strangers_do_not_keep_the_previous_rank_out() {
    let (mut waiting, addresses) = listeners(2);
    let (other, first) = (waiting.pop().unwrap(), waiting.pop().unwrap());
    let config = config(quick_limits(), None);
    let assignment = |rank| Assignment { generation: 3, rank, addresses: addresses.clone() };
    let strangers: Vec<TcpStream> = [hello(2, 1), hello(3, 0), vec![b'G'; 100], vec![]]
        .into_iter()
        .map(|bytes| {
            let mut stranger = TcpStream::connect(&addresses[0]).unwrap();
            stranger.write_all(&bytes).unwrap();
            stranger
        })
        .collect();
    let (assignment_0, assignment_1, config) = (assignment(0), assignment(1), &config);
    thread::scope(|scope| {
        let first = scope.spawn(move || connect(first, &assignment_0, config).unwrap().barrier());
        connect(other, &assignment_1, config).unwrap().barrier().unwrap();
        first.join().unwrap().unwrap();
    });
    drop(strangers);
}

#[test]
fn who_comes_from_an_earlier_generation_is_told() {
    let (mut waiting, addresses) = listeners(2);
    let (other, first) = (waiting.pop().unwrap(), waiting.pop().unwrap());
    let limits = Limits { connect_max: Duration::from_secs(3), ..quick_limits() };
    let config = &config(limits, None);
    let assignment =
        |generation, rank| Assignment { generation, rank, addresses: addresses.clone() };
    let (early, late) = (assignment(4, 0), assignment(5, 1));
    thread::scope(|scope| {
        let early = scope.spawn(move || connect(first, &early, config).unwrap_err());
        let late = connect(other, &late, config).unwrap_err();
        assert!(matches!(late, Error::Unreachable { rank: 0, .. }), "{late}");
        let early = early.join().unwrap();
        assert!(matches!(early, Error::Stale { rank: 1, ours: 4, theirs: 5 }), "{early}");
    });
}

#[test]
fn without_the_right_certificate_nobody_comes_in() {
    for stranger in [Some(strange_tls()), None] {
        let (mut waiting, addresses) = listeners(2);
        let (other, first) = (waiting.pop().unwrap(), waiting.pop().unwrap());
        let limits = Limits { connect_max: Duration::from_secs(2), ..quick_limits() };
        let (ours, theirs) = (config(limits, Some(tls())), config(limits, stranger));
        let assignment = |rank| Assignment { generation: 1, rank, addresses: addresses.clone() };
        let (assignment_0, assignment_1) = (assignment(0), assignment(1));
        thread::scope(|scope| {
            let ours = scope.spawn(move || connect(first, &assignment_0, &ours).unwrap_err());
            connect(other, &assignment_1, &theirs).unwrap_err();
            assert!(matches!(ours.join().unwrap(), Error::Unreachable { .. }));
        });
    }
}

#[test]
fn a_ring_that_cannot_be_closed_is_given_up_in_time() {
    let limits = Limits { connect_max: Duration::from_millis(300), ..quick_limits() };
    let (mut waiting, mut addresses) = listeners(1);
    addresses.push("127.0.0.1:1".into());
    let assignment = Assignment { generation: 1, rank: 0, addresses };
    let clock = clock();
    let error = connect(waiting.pop().unwrap(), &assignment, &config(limits, None)).unwrap_err();
    assert!(matches!(error, Error::Unreachable { rank: 1, .. }), "{error}");
    assert!(clock() < Duration::from_secs(5), "{:?}", clock());
}
