//! Workers meet over gRPC, and meet again after one of them is lost.

use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::Instant;

use collective::{Collective, Precision, Reduction};
use lifecycle::{Progress, Unwatched};
use tokio::runtime::Runtime;

use super::*;
use crate::ranks::{Meeting, NoMeeting};

#[allow(clippy::disallowed_methods, reason = "leases are measured by the clock")]
fn clock() -> Clock {
    let started = Instant::now();
    Arc::new(move || started.elapsed())
}

fn group(terms: Terms) -> Group {
    Group::new(terms, clock()).expect("terms that fit")
}

fn member(
    (runtime, group): (&Runtime, &Group),
    terms: Terms,
    order: u32,
    n_ranks: Option<usize>,
) -> Membership {
    let _inside = runtime.enter();
    let channel = service::in_process(server(group.clone(), 1 << 20));
    let place = Place {
        worker: 100 + u64::from(order),
        order,
        n_ranks,
        host: IpAddr::V4(Ipv4Addr::LOCALHOST),
        n_threads: 1,
    };
    Membership::new(channel, &place, terms, (None, clock())).expect("a member")
}

fn sum(ranks: &mut dyn Collective) -> Result<f32, collective::Error> {
    let mut values = [1.0 + ranks.rank() as f32];
    ranks.all_reduce(&mut values, Reduction::Sum, Precision::Full).map(|()| values[0])
}

#[test]
fn workers_meet_by_order_and_again_after_one_left() {
    let terms = Terms::new(2, 3);
    let group = group(terms);
    let runtime = Runtime::new().expect("a runtime");
    let mut members: Vec<Membership> =
        (0..3).rev().map(|order| member((&runtime, &group), terms, order, None)).collect();
    let meet = |members: &mut [Membership]| -> Vec<(usize, usize, f32)> {
        thread::scope(|scope| {
            let meeting = members.iter_mut().map(|member| {
                scope.spawn(|| {
                    let mut ranks = member.meet().expect("a generation");
                    let sum = sum(&mut *ranks).expect("all are there");
                    (ranks.rank(), ranks.n_ranks(), sum)
                })
            });
            let meeting: Vec<_> = meeting.collect();
            meeting.into_iter().map(|one| one.join().expect("ends")).collect()
        })
    };
    assert_eq!(meet(&mut members), [(2, 3, 6.0), (1, 3, 6.0), (0, 3, 6.0)]);
    drop(members.remove(1)); // leaves, so that nobody waits for its lease
    assert_eq!(meet(&mut members), [(1, 2, 3.0), (0, 2, 3.0)]);
}

#[test]
fn a_generation_that_is_over_ends_what_its_ranks_do() {
    let terms = Terms::new(2, 2);
    let group = group(terms);
    let runtime = Runtime::new().expect("a runtime");
    let mut waits = member((&runtime, &group), terms, 0, None);
    let mut leaves = member((&runtime, &group), terms, 1, None);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut ranks = waits.meet().expect("a generation");
            sum(&mut *ranks)
        });
        let other = leaves.meet().expect("a generation");
        drop(leaves);
        // Its connections are open: only the group says that it has left.
        assert!(waiting.join().expect("ends").is_err());
        drop(other);
    });
}

#[test]
fn a_worker_that_was_promised_another_world_is_told_so() {
    let terms = Terms::new(2, 2);
    let group = group(terms);
    let runtime = Runtime::new().expect("a runtime");
    let mut member = member((&runtime, &group), terms, 0, Some(5));
    let NoMeeting(reason) = member.meet().err().expect("refused");
    assert_eq!(reason.to_string(), "the group has 2 to 2 workers");
}

#[test]
fn the_group_hears_of_workers_and_of_how_far_they_are() {
    let terms = Terms::new(1, 1);
    let group = group(terms);
    let runtime = Runtime::new().expect("a runtime");
    let mut member = member((&runtime, &group), terms, 0, None);
    let ranks = member.meet().expect("alone");
    assert_eq!(ranks.n_ranks(), 1);
    member.telling(&Unwatched).report("train", 7, 20);
    let told = std::iter::repeat_with(|| {
        thread::sleep(Duration::from_millis(50));
        group.progress()
    });
    let (n_working, told) =
        told.take(100).find(|(_, told)| told.is_some()).expect("told within 5 s");
    assert_eq!((n_working, told.map(|told| (told.done, told.total))), (1, Some((7, 20))));
    assert!(group.heard_of(100).is_some() && group.heard_of(101).is_none());
}
