//! The rendezvous, step by step; the simulation takes it through what nobody would think of.

use std::time::Duration;

use super::*;

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A coordinator, and members whose requests arrive at once.
struct Group {
    coordinator: Coordinator,
    members: Vec<Member>,
    now: Duration,
}

impl Group {
    fn new(n: usize, terms: Terms) -> Self {
        let members = (0..n)
            .map(|i| {
                let mut member = Member::new(terms, i as u64 + 10, i as u32, None).unwrap();
                member.join(Duration::ZERO, format!("host-{i}"));
                member
            })
            .collect();
        Self { coordinator: Coordinator::new(terms).unwrap(), members, now: Duration::ZERO }
    }

    /// Lets time pass, in which the named members are heard; their events.
    fn pass(&mut self, time: Duration, heard: &[usize]) -> Vec<(usize, Event)> {
        let mut events = Vec::new();
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(100);
            self.coordinator.tick(self.now);
            for (i, member) in self.members.iter_mut().enumerate() {
                events.extend(member.stop_due(self.now).map(|event| (i, event)));
                let Some(request) = member.request_due(self.now) else { continue };
                if heard.contains(&i) {
                    let number = request.number;
                    let reply = self.coordinator.answer(self.now, request);
                    let event = member.receive(self.now, number, reply);
                    events.extend(event.map(|event| (i, event)));
                }
            }
        }
        events
    }
}

fn start(generation: u64, rank: usize, hosts: &[&str]) -> Event {
    let addresses = hosts.iter().map(|host| (*host).to_owned()).collect();
    Event::Start(Assignment { generation, rank, addresses })
}

#[test]
fn all_that_there_can_be_start_at_once() {
    let mut group = Group::new(2, Terms::new(1, 2));
    let events = group.pass(seconds(0.5), &[0, 1]);
    let hosts = ["host-0", "host-1"];
    assert_eq!(events, [(1, start(1, 1, &hosts)), (0, start(1, 0, &hosts))]);
    assert_eq!(group.pass(seconds(60.0), &[0, 1]), []);
}

#[test]
fn fewer_start_when_nobody_else_comes() {
    let mut group = Group::new(3, Terms::new(2, 4));
    assert_eq!(group.pass(seconds(10.0), &[0]), []);
    let events = group.pass(seconds(10.0), &[0, 2]);
    let hosts = ["host-0", "host-2"];
    assert_eq!(events, [(2, start(1, 1, &hosts)), (0, start(1, 0, &hosts))]);
}

#[test]
fn a_member_that_is_cut_off_stops_before_the_rest_starts_again() {
    let mut group = Group::new(2, Terms::new(1, 2));
    group.pass(seconds(2.0), &[0, 1]);
    let cut_at = group.now;
    let mut events = Vec::new();
    for _ in 0..100 {
        events.extend(group.pass(seconds(0.1), &[0]).into_iter().map(|event| (group.now, event)));
        if group.members[0].holds(group.now).is_none() {
            group.members[0].join(group.now, "host-0".into());
        }
        let held = group.members.iter().filter_map(|member| member.holds(group.now));
        assert!(held.collect::<std::collections::BTreeSet<_>>().len() <= 1);
    }
    let at = |wanted: &(usize, Event)| {
        let (at, _) = events.iter().find(|(_, event)| event == wanted).expect("it happened");
        at.saturating_sub(cut_at).as_secs_f64()
    };
    let lost = at(&(1, Event::Stop(Stop::LeaseOver)));
    let again = at(&(0, start(2, 0, &["host-0"])));
    assert!((4.0..5.1).contains(&lost) && again > lost && again < 7.5, "{lost} {again}");
}

#[test]
fn a_member_that_failed_ends_the_generation_for_all() {
    let mut group = Group::new(2, Terms::new(1, 2));
    group.pass(seconds(2.0), &[0, 1]);
    group.members[0].join(group.now, "host-0b".into());
    assert_eq!(group.pass(seconds(1.1), &[0, 1]), [(1, Event::Stop(Stop::Ended))]);
    group.members[1].join(group.now, "host-1b".into());
    let hosts = ["host-0b", "host-1b"];
    let events = group.pass(seconds(0.5), &[0, 1]);
    assert_eq!(events, [(1, start(2, 1, &hosts)), (0, start(2, 0, &hosts))]);
}

#[test]
fn newcomers_wait_and_are_told_of() {
    let mut group = Group::new(3, Terms::new(1, 3));
    group.pass(seconds(8.0), &[0, 1]);
    assert_eq!(group.pass(seconds(8.0), &[0, 1, 2]), []);
    assert_eq!(group.members[0].n_waiting(), 1);
    group.members[0].join(group.now, "host-0".into());
    group.members[1].join(group.now, "host-1".into());
    assert_eq!(group.pass(seconds(1.0), &[0, 1, 2]).len(), 3);
    assert_eq!(group.coordinator.generation(), 2);
}

#[test]
fn a_coordinator_that_was_lost_waits_for_leases_that_it_may_have_granted() {
    let terms = Terms::new(1, 1);
    let mut group = Group::new(1, terms);
    group.pass(seconds(2.0), &[0]);
    group.coordinator = Coordinator::recovered(terms, 1, group.now).unwrap();
    let restarted_at = group.now;
    assert_eq!(group.pass(seconds(1.1), &[0]), [(0, Event::Stop(Stop::Ended))]);
    group.members[0].join(group.now, "host-0".into());
    while group.pass(seconds(0.1), &[0]).is_empty() {}
    assert!(group.now.saturating_sub(restarted_at) >= terms.lease + terms.margin);
    assert_eq!(group.members[0].holds(group.now), Some(2));
}

#[test]
fn what_comes_too_late_grants_nothing() {
    let terms = Terms::new(1, 1);
    let mut coordinator = Coordinator::new(terms).unwrap();
    let mut member = Member::new(terms, 1, 0, None).unwrap();
    member.join(Duration::ZERO, "here".into());
    let request = member.request_due(Duration::ZERO).unwrap();
    let number = request.number;
    let reply = coordinator.answer(Duration::ZERO, request);
    assert!(matches!(reply, Reply::Assigned(_)));
    assert_eq!(member.receive(terms.lease, number, reply.clone()), None);
    assert_eq!(member.receive(Duration::ZERO, number, reply), None, "an answer counts once");
    assert_eq!(member.holds(Duration::ZERO), None);
}

#[test]
fn who_cannot_take_part_is_told_why() {
    let mut coordinator = Coordinator::new(Terms::new(2, 3)).unwrap();
    let mut join = |worker, address: &str, n_ranks| {
        let ask = Ask::Join { address: address.into(), order: 0, n_ranks, after: 0 };
        coordinator.answer(Duration::ZERO, Request { worker, number: 1, ask })
    };
    let refused = |refusal| Reply::Refused(refusal);
    assert_eq!(join(1, "a", Some(4)), refused(Refusal::WorldSize { min: 2, max: 3 }));
    assert_eq!(join(1, "", None), refused(Refusal::Address));
    assert_eq!(join(1, &"a".repeat(ADDRESS_LEN_MAX + 1), None), refused(Refusal::Address));
    assert!(Terms::new(0, 1).check().is_err() && Terms::new(3, 2).check().is_err());
}

#[test]
fn who_never_hears_of_its_rank_keeps_nobody_from_the_next_generation() {
    let mut coordinator = Coordinator::new(Terms::new(2, 2)).unwrap();
    let mut join = |at: f64, worker: u64, after: u64| {
        let ask = Ask::Join { address: worker.to_string(), order: 0, n_ranks: None, after };
        let number = (at * 10.0) as u64;
        coordinator.answer(seconds(at), Request { worker, number, ask });
        coordinator.generation()
    };
    join(0.0, 1, 0);
    assert_eq!(join(0.0, 2, 0), 1);
    // Worker 1 fails; worker 2 asks on, and no answer reaches it.
    let mut at = 1.0;
    while join(at, 1, 1) < 2 {
        join(at, 2, 0);
        at += 0.2;
    }
    assert!((5.5..6.5).contains(&at), "{at}");
}
