//! `lifecast.v1.Runs`, answered from the records.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{BoxStream, unfold};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tonic::{Code, Request, Response, Status};
use wire::v1::runs_server;
use wire::{Run, invalid_argument, v1};

use super::record::Record;
use super::{Runs, stopping};
use crate::status::status;

/// Most runs of one page.
const PAGE_SIZE_MAX: u32 = 256;

/// Runs of a page where the request does not say.
const PAGE_SIZE: u32 = 64;

#[tonic::async_trait]
impl runs_server::Runs for Runs {
    async fn get_run(
        &self,
        request: Request<v1::GetRunRequest>,
    ) -> Result<Response<v1::GetRunResponse>, Status> {
        let v1::GetRunRequest { run_id } = request.into_inner();
        let run = self.record(&run_id)?.now();
        Ok(Response::new(v1::GetRunResponse { run: Some(run.into()) }))
    }

    async fn list_runs(
        &self,
        request: Request<v1::ListRunsRequest>,
    ) -> Result<Response<v1::ListRunsResponse>, Status> {
        let v1::ListRunsRequest { stage, page_size, page_token } = request.into_inner();
        if page_size > PAGE_SIZE_MAX {
            return Err(invalid("page_size", "must be at most 256"));
        }
        let page_size = if page_size == 0 { PAGE_SIZE } else { page_size } as usize;
        let before = match page_token.as_str() {
            "" => u64::MAX,
            token => token.parse().map_err(|_| invalid("page_token", "is not of this server"))?,
        };
        let registry = self.registry();
        let mut page: Vec<(u64, Run)> = registry
            .records
            .range(..before)
            .rev()
            .map(|(order, record)| (*order, record.now()))
            .filter(|(_, run)| stage.is_empty() || run.stage == stage)
            .take(page_size + 1)
            .collect();
        drop(registry);
        let next_page_token = if page.len() > page_size {
            page.truncate(page_size);
            page.last().map(|(order, _)| order.to_string()).unwrap_or_default()
        } else {
            String::new()
        };
        let runs = page.into_iter().map(|(_, run)| without_details(run.into())).collect();
        Ok(Response::new(v1::ListRunsResponse { runs, next_page_token }))
    }

    type WatchRunStream = BoxStream<'static, Result<v1::WatchRunResponse, Status>>;

    async fn watch_run(
        &self,
        request: Request<v1::WatchRunRequest>,
    ) -> Result<Response<Self::WatchRunStream>, Status> {
        let v1::WatchRunRequest { run_id, after_sequence } = request.into_inner();
        let record = self.record(&run_id)?;
        let permit = Arc::clone(&self.shared.watches).try_acquire_owned().map_err(|_| {
            let message = "too many watches are open; try again later";
            status(Code::ResourceExhausted, message, "TOO_MANY_WATCHES")
        })?;
        // A number that the run has not reached is from before the server restarted.
        let sequence = if after_sequence > record.now().sequence { 0 } else { after_sequence };
        let watch = Watch {
            changes: record.changes(),
            ending: self.shared.ending.subscribe(),
            record,
            sequence,
            has_ended: false,
            _permit: permit,
        };
        Ok(Response::new(unfold(watch, Watch::next).boxed()))
    }

    async fn cancel_run(
        &self,
        request: Request<v1::CancelRunRequest>,
    ) -> Result<Response<v1::CancelRunResponse>, Status> {
        let v1::CancelRunRequest { run_id } = request.into_inner();
        let record = self.record(&run_id)?;
        self.cancel(&record, "on request");
        Ok(Response::new(v1::CancelRunResponse { run: Some(record.now().into()) }))
    }
}

impl Runs {
    fn record(&self, run_id: &str) -> Result<Arc<Record>, Status> {
        self.registry().find(run_id).cloned().ok_or_else(|| {
            let message = format!("no run `{run_id}` is known here");
            status(Code::NotFound, &message, "RUN_NOT_FOUND")
        })
    }
}

/// One watcher: how far it has read.
struct Watch {
    record: Arc<Record>,
    changes: watch::Receiver<u64>,
    ending: watch::Receiver<bool>,
    sequence: u64,
    has_ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Watch {
    /// The next event, as soon as there is one; `None` after the last.
    async fn next(mut self) -> Option<(Result<v1::WatchRunResponse, Status>, Self)> {
        while !self.has_ended {
            // Marked as seen before it is read: what comes in between wakes the next round.
            self.changes.borrow_and_update();
            if let Some(run) = self.record.event_after(self.sequence) {
                self.sequence = run.sequence;
                self.has_ended = run.state.is_final();
                return Some((Ok(v1::WatchRunResponse { run: Some(run.into()) }), self));
            }
            let present = self.record.now();
            if present.sequence > self.sequence {
                continue;
            }
            if present.state.is_final() {
                return None;
            }
            let is_ending = tokio::select! {
                _ = self.changes.changed() => false,
                _ = self.ending.wait_for(|ending| *ending) => true,
            };
            if is_ending {
                self.has_ended = true;
                return Some((Err(stopping()), self));
            }
        }
        None
    }
}

/// A run as lists show it.
fn without_details(mut run: v1::Run) -> v1::Run {
    run.parts.clear();
    if let Some(outcome) = &mut run.outcome {
        outcome.summary_json.clear();
    }
    run
}

fn invalid(field: &str, reason: &str) -> Status {
    invalid_argument(lifecycle::Invalid::new(field, reason))
}
