//! A server as its clients see it: limits, health, reflection, panics, draining, TLS.

use std::path::PathBuf;

use crate::stage::{Behaviour, Server, ingest_request, last};
use service::{Flags, Listener, RunLimits, Services, kind_of, serve};
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_types::StatusExt;

#[tokio::test]
async fn a_panic_costs_one_request() {
    let server = Server::start(Flags::default()).await;
    let mut client = server.ingest();
    let status = client.start_ingest(Behaviour::Panic.request("a")).await.expect_err("panics");
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(status.get_details_error_info().expect("details").reason, "PANIC");
    client.start_ingest(Behaviour::Finish.request("b")).await.expect("the server lives");
    server.stop().await;
}

#[tokio::test]
async fn an_oversized_request_is_refused_by_name_of_its_limit() {
    let server = Server::start(Flags::default()).await;
    let mut request = ingest_request("a", "");
    request.config_toml = "#".repeat(5 << 20);
    let status = server.ingest().start_ingest(request).await.expect_err("too large");
    assert_eq!(status.code(), Code::OutOfRange);
    assert!(status.message().contains("4194304"), "{}", status.message());
    server.stop().await;
}

#[tokio::test]
async fn a_malformed_request_names_its_field() {
    let server = Server::start(Flags::default()).await;
    let request = ingest_request("not an id", "");
    let status = server.ingest().start_ingest(request).await.expect_err("malformed");
    assert_eq!(status.code(), Code::InvalidArgument);
    let violations = status.get_details_bad_request().expect("details").field_violations;
    assert_eq!(violations[0].field, "request_id");
    server.stop().await;
}

#[tokio::test]
async fn health_and_reflection_answer() {
    let server = Server::start(Flags::default()).await;
    let mut health = HealthClient::new(server.channel());
    for name in ["", "lifecast.v1.Ingest", "lifecast.v1.Runs"] {
        let request = HealthCheckRequest { service: name.to_owned() };
        let answer = health.check(request).await.expect("healthy").into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{name}");
    }
    let request = HealthCheckRequest { service: "lifecast.v1.Trainer".to_owned() };
    assert_eq!(health.check(request).await.expect_err("not here").code(), Code::NotFound);

    assert_eq!(
        reflect(&server, MessageRequest::ListServices(String::new())).await,
        [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "lifecast.v1.Ingest",
            "lifecast.v1.Runs"
        ]
    );
    let symbol = MessageRequest::FileContainingSymbol("lifecast.v1.StartIngestRequest".to_owned());
    assert_eq!(reflect(&server, symbol).await, ["a file"]);
    server.stop().await;
}

async fn reflect(server: &Server, question: MessageRequest) -> Vec<String> {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    let mut client = ServerReflectionClient::new(server.channel());
    let answers = client.server_reflection_info(tokio_stream::iter([request])).await;
    let answer = answers.expect("reflects").into_inner().message().await.expect("no error");
    match answer.expect("an answer").message_response.expect("a response") {
        MessageResponse::ListServicesResponse(list) => {
            let mut names: Vec<String> = list.service.into_iter().map(|s| s.name).collect();
            names.sort();
            names
        }
        MessageResponse::FileDescriptorResponse(_) => vec!["a file".to_owned()],
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_busy_server_refuses_but_stays_healthy() {
    let server = Server::start(Flags { max_concurrent_requests: 1, ..Flags::default() }).await;
    let slow = server.slow_request("slow").await;
    let mut client = server.ingest();
    let status = client.start_ingest(ingest_request("b", "")).await.expect_err("busy");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().is_some());
    let mut health = HealthClient::new(server.channel());
    health.check(HealthCheckRequest::default()).await.expect("healthy");
    server.gate.open();
    slow.await.expect("no panic").expect("answered");
    client.start_ingest(ingest_request("b", "")).await.expect("admitted again");
    server.stop().await;
}

#[tokio::test]
async fn a_stopping_server_finishes_what_is_under_way() {
    let mut server = Server::start(Flags::default()).await;
    let mut health = HealthClient::new(server.channel());
    let states = health.watch(HealthCheckRequest::default()).await.expect("watches");
    let mut states = states.into_inner();
    assert_eq!(next_state(&mut states).await, Some(ServingStatus::Serving));
    let slow = server.slow_request("slow").await;

    server.begin_stop();
    assert_eq!(next_state(&mut states).await, Some(ServingStatus::NotServing));
    assert_eq!(next_state(&mut states).await, None);
    assert!(!slow.is_finished());
    server.gate.open();
    slow.await.expect("no panic").expect("the request under way is answered");
    let channel = server.endpoint().connect().await;
    let refused = match channel {
        Err(_) => true,
        Ok(channel) => {
            HealthClient::new(channel).check(HealthCheckRequest::default()).await.is_err()
        }
    };
    assert!(refused, "nothing new is accepted");
    server.stop().await;
}

type States = tonic::Streaming<tonic_health::pb::HealthCheckResponse>;

async fn next_state(states: &mut States) -> Option<ServingStatus> {
    states.message().await.expect("no error").map(|state| state.status())
}

#[tokio::test]
async fn the_drain_deadline_cancels_runs_and_ends_their_watches() {
    let limits = RunLimits { max_running: 1, ..RunLimits::default() };
    let flags = Flags { drain_deadline_s: 0, runs: limits, ..Flags::default() };
    let mut server = Server::start(flags).await;
    let running = server.started(Behaviour::UntilCancelled, "running").await;
    let queued = server.started(Behaviour::Finish, "queued").await;
    let mut watches = [server.watch(&running.id, 0).await, server.watch(&queued.id, 0).await];
    server.begin_stop();
    for watch in &mut watches {
        let end = last(watch).await;
        assert_eq!(end.state(), wire::v1::RunState::Cancelled, "{end:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_server_without_connections_waits_for_its_runs_no_longer_than_it_may() {
    let mut server = Server::start(Flags { drain_deadline_s: 1, ..Flags::default() }).await;
    server.started(Behaviour::UntilCancelled, "running").await;
    server.begin_stop();
    server.stop().await;
}

#[tokio::test]
async fn a_service_answers_in_process() {
    let channel = service::in_process(tonic_health::server::health_reporter().1);
    let mut health = HealthClient::new(channel);
    for _ in 0..2 {
        let answer = health.check(HealthCheckRequest::default()).await.expect("answers");
        assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
    }
}

#[tokio::test]
async fn unusable_flags_are_named() {
    let taken = Listener::bind(&Flags::default()).expect("a free port");
    let error = Listener::bind(&Flags { listen: taken.address(), ..Flags::default() });
    let message = error.expect_err("taken").to_string();
    assert!(message.contains(&taken.address().to_string()), "{message}");

    let absent = PathBuf::from("absent.pem");
    let flags = Flags { tls_cert: Some(absent.clone()), tls_key: Some(absent), ..Flags::default() };
    let error = serve(taken, Services::new(), &flags, async {}).await.expect_err("no file");
    assert_eq!(error.to_string(), "cannot read absent.pem");

    let listener = Listener::bind(&Flags::default()).expect("a free port");
    let no_key = Some(tls_file("cert.pem"));
    let flags = Flags { tls_cert: no_key.clone(), tls_key: no_key, ..Flags::default() };
    let error = serve(listener, Services::new(), &flags, async {}).await.expect_err("no key");
    assert!(matches!(error, service::Error::Tls(_)), "{error:?}");
}

#[tokio::test]
async fn tls_asks_for_a_certificate_of_each_client() {
    let server = Server::start(Flags {
        tls_cert: Some(tls_file("cert.pem")),
        tls_key: Some(tls_file("key.pem")),
        tls_client_ca: Some(tls_file("ca.pem")),
        ..Flags::default()
    })
    .await;
    let read = |name| std::fs::read(tls_file(name)).expect("test data");
    let stranger = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read("ca.pem")))
        .domain_name("localhost");
    let known = stranger.clone().identity(Identity::from_pem(read("cert.pem"), read("key.pem")));
    let check = async |tls: Option<ClientTlsConfig>| {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut endpoint =
            Endpoint::from_shared(format!("{scheme}://{}", server.address)).expect("an address");
        if let Some(tls) = tls {
            endpoint = endpoint.tls_config(tls).expect("usable");
        }
        let channel: Channel = endpoint.connect_lazy();
        HealthClient::new(channel).check(HealthCheckRequest::default()).await
    };
    check(Some(known)).await.expect("let in");
    let refused = check(Some(stranger)).await.expect_err("no certificate");
    assert_eq!(kind_of(&refused), lifecycle::ErrorKind::Unreachable, "{refused:?}");
    check(None).await.expect_err("not encrypted");
    server.stop().await;
}

fn tls_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}
