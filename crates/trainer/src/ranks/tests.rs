//! Several ranks train as one does, and go on after one of them is lost.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use collective::{Clock, Collective, in_process};
use lifecycle::{Progress, Unwatched};
use proptest::prelude::*;

use super::*;
use crate::config::Config;
use crate::rows::Rows;
use crate::training::tests::{config, network, rows};
use crate::training::{Outcome, Task, train, train_on};

/// Hands a rank one group after the other.
struct Given(Receiver<Box<dyn Collective>>);

impl Meeting for Given {
    fn meet(&mut self) -> Result<Box<dyn Collective>, NoMeeting> {
        self.0.recv().map_err(|error| NoMeeting(Box::new(error)))
    }

    fn is_awaited(&self) -> bool {
        false
    }

    fn n_threads(&self) -> usize {
        1
    }

    fn clock(&self) -> Clock {
        Arc::new(|| Duration::ZERO)
    }
}

fn group(n_ranks: usize, generation: u64) -> Vec<Box<dyn Collective>> {
    let ranks = in_process::group(n_ranks, generation, Duration::from_mins(1));
    ranks.into_iter().map(|rank| Box::new(rank) as Box<dyn Collective>).collect()
}

fn on_rank(
    meeting: &mut Given,
    (rows, config): (&Rows, &Config),
    checkpoints: Option<&Path>,
    progress: &dyn Progress,
) -> Result<Outcome, Error> {
    let network = network();
    let mut state = None;
    together(meeting, |ranks| {
        let task = Task { network: &network, base: None, rows, config, checkpoints };
        train_on(ranks, task, &mut state, progress).map_err(Error::Stopped)
    })
}

/// What each of so many ranks ends with.
fn trained_by(n_ranks: usize, rows: &Rows, config: &Config) -> Vec<Outcome> {
    thread::scope(|scope| {
        let ranks: Vec<_> = group(n_ranks, 1)
            .into_iter()
            .map(|rank| {
                let (give, given) = channel();
                give.send(rank).expect("the rank is there");
                scope.spawn(move || {
                    on_rank(&mut Given(given), (rows, config), None, &Unwatched).expect("trains")
                })
            })
            .collect();
        ranks.into_iter().map(|rank| rank.join().expect("ends")).collect()
    })
}

fn alone(rows: &Rows, config: &Config) -> Outcome {
    let network = network();
    train(Task { network: &network, base: None, rows, config, checkpoints: None }, &Unwatched)
        .expect("trains")
}

#[test]
fn two_ranks_with_one_or_two_micro_batches_each_train_to_the_bits_of_one() {
    for micro_batch in [config().micro_batch, config().micro_batch / 2] {
        let (rows, config) = (rows(48), Config { micro_batch, ..config() });
        let one = alone(&rows, &config);
        assert!(config.dropout > 0.0 && one.lines.len() > 1);
        for outcome in trained_by(2, &rows, &config) {
            assert_eq!(outcome, one);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Steps are short, so the path of weights shows the gradients: equal to 1e-5 of their size.
    #[test]
    fn ranks_follow_the_gradient_of_the_whole_batch(
        n_ranks in 2..5_usize,
        batch in 5..18_usize,
        micro_batch in 2..7_usize,
    ) {
        let config = Config { batch, micro_batch, steps_max: 3, gradient_norm_max: 1e6, ..config() };
        let config = Config { optimiser: crate::OptimiserKind::Sgd, learning_rate: 1e-2, ..config };
        let rows = rows(32);
        let one = alone(&rows, &config);
        let start = alone(&rows, &Config { steps_max: 1, learning_rate: 1e-7, ..config.clone() });
        let moved = |to: &Outcome| -> Vec<f64> {
            let pairs = to.weights.iter().zip(&start.weights);
            pairs.map(|(to, from)| f64::from(to - from)).collect()
        };
        let size = |of: &[f64]| of.iter().map(|x| x * x).sum::<f64>().sqrt();
        let right = moved(&one);
        for outcome in trained_by(n_ranks, &rows, &config) {
            let gap: Vec<f64> = moved(&outcome).iter().zip(&right).map(|(a, b)| a - b).collect();
            prop_assert!(size(&gap) <= 1e-5 * size(&right), "{} of {}", size(&gap), size(&right));
        }
    }
}

/// Ends its rank, as a process that is killed, when it has done so many steps.
struct DieAt(u64);

impl Progress for DieAt {
    fn report(&self, _part: &str, done: u64, _total: u64) {
        if done == self.0 {
            std::panic::panic_any("killed");
        }
    }
}

#[test]
fn a_rank_that_is_lost_and_replaced_leaves_no_trace() {
    let (rows, config) = (rows(48), config());
    let one = alone(&rows, &config);
    for (lost, at) in [(0, 1), (1, 13), (0, 23)] {
        let checkpoints = tempfile::tempdir().expect("a directory");
        let mut first = group(2, 1);
        let mut second = group(2, 2);
        let (doomed, lasting) = (first.remove(lost), first.remove(0));
        let (fresh, again) = (second.remove(lost), second.remove(0));
        let folder = Some(checkpoints.path());
        let outcomes = thread::scope(|scope| {
            let (rows, config) = (&rows, &config);
            let begin = |group, progress: &'static (dyn Progress + Sync)| {
                let (give, given): (Sender<_>, _) = channel();
                give.send(group).expect("the rank is there");
                let rank = scope
                    .spawn(move || on_rank(&mut Given(given), (rows, config), folder, progress));
                (give, rank)
            };
            let (give, lasting) = begin(lasting, &Unwatched);
            let (_, doomed) = begin(doomed, Box::leak(Box::new(DieAt(at))));
            doomed.join().expect_err("it is killed");
            give.send(again).expect("the rank lives");
            let (_, fresh) = begin(fresh, &Unwatched);
            [lasting, fresh].map(|rank| rank.join().expect("ends").expect("trains"))
        });
        assert!(outcomes.iter().all(|outcome| *outcome == one), "rank {lost} at step {at}");
    }
}

#[test]
fn ranks_that_train_different_things_say_so() {
    let rows = rows(48);
    let (one, other) = (config(), Config { seed: 9, ..config() });
    let errors = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for (rank, config) in group(2, 1).into_iter().zip([&one, &other]) {
            let (give, given) = channel();
            give.send(rank).expect("the rank is there");
            let (rows, errors) = (&rows, &errors);
            scope.spawn(move || {
                let error = on_rank(&mut Given(given), (rows, config), None, &Unwatched);
                errors.lock().expect("no panic").push(error.expect_err("they differ"));
            });
        }
    });
    for error in errors.into_inner().expect("no panic") {
        assert!(matches!(error, Error::Stopped(Stopped::OtherTraining { .. })), "{error:?}");
    }
}

#[test]
fn the_first_rank_works_while_the_others_wait() {
    let worked: Vec<Option<u32>> = thread::scope(|scope| {
        let ranks = group(3, 1).into_iter().map(|rank| {
            let (give, given) = channel();
            give.send(rank).expect("the rank is there");
            scope.spawn(move || {
                together(&mut Given(given), |ranks| ranks.first_works(|| 7).map_err(Error::Stopped))
                    .expect("works")
            })
        });
        let ranks: Vec<_> = ranks.collect();
        ranks.into_iter().map(|rank| rank.join().expect("ends")).collect()
    });
    assert_eq!(worked, [Some(7), None, None]);
}

#[test]
fn parts_are_even_and_complete() {
    for (n, n_ranks) in [(16, 2), (17, 4), (3, 4), (0, 2)] {
        let parts: Vec<_> = (0..n_ranks).map(|rank| share(n, rank, n_ranks)).collect();
        assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!((parts[0].start, parts[n_ranks - 1].end), (0, n));
        let lengths: Vec<usize> = parts.iter().map(ExactSizeIterator::len).collect();
        let (least, most) = (lengths.iter().min(), lengths.iter().max());
        assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1));
    }
}
