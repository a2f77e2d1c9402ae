//! Long work as its clients see it: start, watch, resume, cancel, repeat, forget.

use crate::stage::{Behaviour, Server, events, last};
use service::{Flags, RunLimits};
use tonic::Code;
use wire::v1::{self, RunErrorKind, RunState};

#[tokio::test]
async fn a_run_is_watched_to_its_end() {
    let server = Server::start(Flags::default()).await;
    let run = server.started(Behaviour::Finish, "a").await;
    assert_eq!((run.stage.as_str(), run.request_id.as_str()), ("ingest", "a"));
    let events = events(&mut server.watch(&run.id, 0).await).await;
    let sequences: Vec<u64> = events.iter().map(|run| run.sequence).collect();
    assert_eq!(sequences, (1..=events.len() as u64).collect::<Vec<u64>>());
    let states: Vec<RunState> = events.iter().map(v1::Run::state).collect();
    assert_eq!(states[..2], [RunState::Queued, RunState::Running]);
    let end = events.last().expect("events");
    assert_eq!(end.state(), RunState::Succeeded);
    assert_eq!((end.parts[0].part.as_str(), end.parts[0].done), ("rows", 10));
    let outcome = end.outcome.as_ref().expect("an outcome");
    assert_eq!((outcome.artifact.len(), outcome.summary_json.as_str()), (64, "{}"));
    assert!(end.accepted_at.is_some() && end.ended_at.is_some());
    assert_eq!(server.run(&run.id).await.expect("remembered"), *end);
    server.stop().await;
}

#[tokio::test]
async fn a_broken_watch_resumes_where_it_broke_and_stops_nothing() {
    let server = Server::start(Flags::default()).await;
    let run = server.started(Behaviour::Wait, "a").await;
    let mut watch = server.watch(&run.id, 0).await;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|run: &v1::Run| run.state() != RunState::Running) {
        seen.push(watch.message().await.expect("no error").expect("an event").run.expect("a run"));
    }
    drop(watch);
    server.gate.open();
    let after = seen.last().expect("seen").sequence;
    seen.extend(events(&mut server.watch(&run.id, after).await).await);
    let sequences: Vec<u64> = seen.iter().map(|run| run.sequence).collect();
    assert_eq!(sequences, (1..=seen.len() as u64).collect::<Vec<u64>>(), "none lost, none twice");
    assert_eq!(seen.last().expect("seen").state(), RunState::Succeeded);

    let end = sequences.len() as u64;
    assert_eq!(events(&mut server.watch(&run.id, end).await).await, []);
    let anew = events(&mut server.watch(&run.id, end + 7).await).await;
    assert_eq!(anew, seen, "a number of another life of the server counts as 0");
    server.stop().await;
}

#[tokio::test]
async fn a_repeated_request_answers_the_first_run() {
    let server = Server::start(Flags::default()).await;
    let first = server.started(Behaviour::Finish, "a").await;
    let end = last(&mut server.watch(&first.id, 0).await).await;
    assert_eq!(server.started(Behaviour::Finish, "a").await, end);
    let other = server.ingest().start_ingest(Behaviour::Fail.request("a")).await;
    assert_eq!(other.expect_err("other content").code(), Code::AlreadyExists);
    assert_ne!(server.started(Behaviour::Finish, "b").await.id, first.id);
    server.stop().await;
}

#[tokio::test]
async fn failures_say_who_has_to_act() {
    let server = Server::start(Flags::default()).await;
    for (behaviour, kind, message) in [
        (Behaviour::Fail, RunErrorKind::Data, "orders.csv: column `price` is missing"),
        (Behaviour::PanicInRun, RunErrorKind::Internal, "the stage panicked: lost count"),
    ] {
        let run = server.started(behaviour, &format!("{behaviour:?}")).await;
        let end = last(&mut server.watch(&run.id, 0).await).await;
        assert_eq!(end.state(), RunState::Failed);
        let error = end.error.expect("an error");
        assert_eq!((error.kind(), error.message.as_str()), (kind, message));
    }
    server.started(Behaviour::Finish, "after").await;
    server.stop().await;
}

#[tokio::test]
async fn a_run_is_cancelled_at_work_or_before() {
    let runs = RunLimits { max_running: 1, ..RunLimits::default() };
    let server = Server::start(Flags { runs, ..Flags::default() }).await;
    let running = server.started(Behaviour::UntilCancelled, "running").await;
    let queued = server.started(Behaviour::Finish, "queued").await;
    let cancelled = server.cancel(&queued.id).await;
    assert_eq!(cancelled.state(), RunState::Cancelled, "ends at once, since it never began");
    server.cancel(&running.id).await;
    let end = last(&mut server.watch(&running.id, 0).await).await;
    assert_eq!(end.state(), RunState::Cancelled);
    assert_eq!(server.cancel(&running.id).await, end, "a run that has ended stays as it is");
    let next = server.started(Behaviour::Finish, "next").await;
    let end = last(&mut server.watch(&next.id, 0).await).await;
    assert_eq!(end.state(), RunState::Succeeded, "the thread is free again");
    server.stop().await;
}

#[tokio::test]
async fn runs_are_listed_by_page_and_the_oldest_forgotten() {
    let runs = RunLimits { max_kept_runs: 3, ..RunLimits::default() };
    let server = Server::start(Flags { runs, ..Flags::default() }).await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let run = server.started(Behaviour::Finish, name).await;
        last(&mut server.watch(&run.id, 0).await).await;
        ids.push(run.id);
    }
    let (mut listed, mut page_token) = (Vec::new(), String::new());
    loop {
        let stage = "ingest".to_owned();
        let request = v1::ListRunsRequest { stage, page_size: 2, page_token };
        let page = server.runs().list_runs(request).await.expect("a page").into_inner();
        listed.extend(page.runs.into_iter().map(|run| run.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    ids.reverse();
    assert_eq!(listed, ids[..3]);
    assert_eq!(server.run(&ids[3]).await.expect_err("forgotten").code(), Code::NotFound);
    let request = v1::ListRunsRequest { page_size: 1000, ..Default::default() };
    let status = server.runs().list_runs(request).await.expect_err("too large");
    assert_eq!(status.code(), Code::InvalidArgument);
    server.stop().await;
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let runs = RunLimits { max_running: 1, max_queued: 1, ..RunLimits::default() };
    let server = Server::start(Flags { runs, ..Flags::default() }).await;
    let running = server.started(Behaviour::Wait, "running").await;
    let mut watch = server.watch(&running.id, 1).await;
    watch.message().await.expect("no error").expect("it has begun");
    server.started(Behaviour::Finish, "queued").await;
    let refused = server.ingest().start_ingest(Behaviour::Finish.request("refused")).await;
    assert_eq!(refused.expect_err("full").code(), Code::ResourceExhausted);
    server.gate.open();
    last(&mut watch).await;
    let mut again = server.ingest().start_ingest(Behaviour::Finish.request("refused")).await;
    while again.is_err() {
        tokio::task::yield_now().await;
        again = server.ingest().start_ingest(Behaviour::Finish.request("refused")).await;
    }
    server.stop().await;
}
