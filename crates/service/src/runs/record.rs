//! What is remembered of one run.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lifecycle::{Digest, ErrorKind};
use tokio::sync::watch;
use tokio::time::Instant;
use wire::{Failure, Outcome, PartProgress, Run, RunState};

use crate::clock;
use crate::status::cut;

/// Least time between two events of progress.
const REPORT_EVERY: Duration = Duration::from_millis(200);

/// Most parts of one run; later ones are not shown.
const N_PARTS_MAX: usize = 64;

/// Most bytes of a part's name.
const PART_BYTES_MAX: usize = 125;

/// Most bytes of a summary; a longer one is left out.
const SUMMARY_BYTES_MAX: usize = 64 * 1024;

/// Most bytes of an error's message; a longer one is cut.
const MESSAGE_BYTES_MAX: usize = 8000;

/// One run: its present, its last events, and whether it is to stop.
#[derive(Debug)]
pub(super) struct Record {
    request: Digest,
    n_events_max: usize,
    log: Mutex<Log>,
    sequence: watch::Sender<u64>,
    cancelled: AtomicBool,
}

#[derive(Debug)]
struct Log {
    run: Run,
    /// Ascending by sequence number; the last ones.
    events: VecDeque<Run>,
    reported: Option<Instant>,
    /// Why it is to stop.
    cancel_reason: String,
}

impl Record {
    /// A run that waits; its first event says so.
    pub(super) fn new(names: [String; 3], request: Digest, n_events_max: usize) -> Self {
        let [id, stage, request_id] = names;
        let run = Run {
            id,
            stage,
            request_id,
            state: RunState::Queued,
            sequence: 0,
            parts: Vec::new(),
            accepted_at: clock::now(),
            ended_at: None,
        };
        let log =
            Log { run, events: VecDeque::new(), reported: None, cancel_reason: String::new() };
        let record = Self {
            request,
            n_events_max,
            log: Mutex::new(log),
            sequence: watch::Sender::new(0),
            cancelled: AtomicBool::new(false),
        };
        record.publish(&mut record.log());
        record
    }

    /// Whether it was started by this very request.
    pub(super) fn answers(&self, request_id: &str, request: Digest) -> bool {
        self.request == request && self.log().run.request_id == request_id
    }

    /// The run as it is.
    pub(super) fn now(&self) -> Run {
        self.log().run.clone()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.log().run.state.is_final()
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Changes whenever there is a new event.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.sequence.subscribe()
    }

    /// The first kept event after a number.
    pub(super) fn event_after(&self, sequence: u64) -> Option<Run> {
        self.log().events.iter().find(|run| run.sequence > sequence).cloned()
    }

    /// From waiting to working; false where it has ended before.
    pub(super) fn begin(&self) -> bool {
        let mut log = self.log();
        if log.run.state.is_final() {
            return false;
        }
        log.run.state = RunState::Running;
        self.publish(&mut log);
        true
    }

    /// Notes how far a part is. An event follows where the part begins or ends, else now and then.
    pub(super) fn report(&self, part: &str, done: u64, total: u64) {
        let mut log = self.log();
        if log.run.state.is_final() {
            return;
        }
        let part = cut(part, PART_BYTES_MAX);
        let parts = &mut log.run.parts;
        let position = parts.iter().position(|known| known.part == part);
        match position {
            Some(known) if (parts[known].done, parts[known].total) == (done, total) => return,
            Some(known) => (parts[known].done, parts[known].total) = (done, total),
            None if parts.len() == N_PARTS_MAX => return,
            None => parts.push(PartProgress { part, done, total }),
        }
        let now = Instant::now();
        let is_due = log.reported.is_none_or(|last| now.duration_since(last) >= REPORT_EVERY);
        if position.is_none() || done == total || is_due {
            log.reported = Some(now);
            self.publish(&mut log);
        }
    }

    /// Asks the run to stop; true where it had not begun, and so has ended by this.
    pub(super) fn cancel(&self, why: &str) -> bool {
        let mut log = self.log();
        if log.run.state.is_final() {
            return false;
        }
        if !self.cancelled.swap(true, Ordering::Relaxed) {
            why.clone_into(&mut log.cancel_reason);
        }
        let has_begun = log.run.state == RunState::Running;
        if !has_begun {
            let message = format!("cancelled before it began: {why}");
            self.finish(&mut log, RunState::Cancelled(unreachable(message)));
        }
        !has_begun
    }

    /// Notes how the work ended. An error of a run that was to stop is taken for its stopping.
    pub(super) fn end(&self, result: Result<Outcome, Failure>) {
        let mut log = self.log();
        let state = match result {
            Ok(mut outcome) => {
                if outcome.summary_json.len() > SUMMARY_BYTES_MAX {
                    outcome.summary_json.clear();
                }
                RunState::Succeeded(outcome)
            }
            Err(failure) if self.is_cancelled() => {
                let message = format!("cancelled: {}: {}", log.cancel_reason, failure.message);
                RunState::Cancelled(unreachable(message))
            }
            Err(failure) => RunState::Failed(failure),
        };
        self.finish(&mut log, state);
    }

    fn finish(&self, log: &mut Log, mut state: RunState) {
        if let RunState::Failed(failure) | RunState::Cancelled(failure) = &mut state {
            failure.message = cut(&failure.message, MESSAGE_BYTES_MAX);
        }
        log.run.state = state;
        log.run.ended_at = Some(clock::now());
        self.publish(log);
    }

    /// Makes the present an event.
    fn publish(&self, log: &mut Log) {
        log.run.sequence += 1;
        while log.events.len() >= self.n_events_max {
            log.events.pop_front();
        }
        log.events.push_back(log.run.clone());
        self.sequence.send_replace(log.run.sequence);
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run that was stopped can be started again: the same kind as a service that is not there.
fn unreachable(message: String) -> Failure {
    Failure { kind: ErrorKind::Unreachable, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(n_events_max: usize) -> Record {
        let names = ["train-1", "train", "a"].map(ToOwned::to_owned);
        Record::new(names, Digest::of("request"), n_events_max)
    }

    #[test]
    fn progress_is_rate_limited_but_never_stale() {
        let record = record(64);
        assert!(record.begin());
        for done in 0..=1000 {
            record.report("epoch", done, 1000);
        }
        let run = record.now();
        assert!(run.sequence < 20, "{} events for 1001 reports", run.sequence);
        assert_eq!(run.parts[0].done, 1000);
        assert_eq!(record.event_after(run.sequence - 1), Some(run));
    }

    #[test]
    fn old_events_and_late_parts_are_dropped() {
        let record = record(4);
        for part in 0..100 {
            record.report(&part.to_string(), 0, 1);
        }
        assert_eq!(record.now().parts.len(), N_PARTS_MAX);
        let last = record.now().sequence;
        assert_eq!(record.event_after(0).map(|run| run.sequence), Some(last - 3));
    }

    #[test]
    fn a_cancelled_run_does_not_begin() {
        let record = record(4);
        assert!(record.cancel("asked"));
        assert!(!record.begin());
        assert!(matches!(record.now().state, RunState::Cancelled(_)));
        assert!(!record.cancel("asked again"));
    }
}
