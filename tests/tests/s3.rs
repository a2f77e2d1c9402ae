//! The store on S3, which a server in this process speaks: a run, and two workers with nothing else in
//! common, make the bytes that they make in a folder.
//!
//! In `cargo xtask ci --full`, since the server's libraries are many.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tests::{answer, binary, workspace_root};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// Serves the folders below `root` as buckets, as long as the runtime lives.
fn serve(runtime: &Runtime, root: &Path) -> SocketAddr {
    let mut service = S3ServiceBuilder::new(FileSystem::new(root).unwrap());
    service.set_auth(SimpleAuth::from_single("key", "secret"));
    let service = service.build();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    #[allow(clippy::disallowed_methods, reason = "a test's own server")]
    runtime.spawn(async move {
        loop {
            let Ok((socket, _)) = listener.accept().await else { return };
            let service = service.clone();
            tokio::spawn(async move {
                let server = Builder::new(TokioExecutor::new());
                drop(server.serve_connection(TokioIo::new(socket), service).await);
            });
        }
    });
    address
}

/// The program, with its store on that server.
fn on_s3(server: SocketAddr) -> Command {
    let mut command = Command::new(binary("lifecast").unwrap());
    command.env("LIFECAST_STORE", "s3://shop/lifecast");
    command.env("AWS_ENDPOINT", format!("http://{server}"));
    command.env("AWS_ALLOW_HTTP", "true").env("AWS_REGION", "us-east-1");
    command.env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "secret");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Stages and artifacts of a run.
fn artifacts(command: &mut Command, work: &Path) -> Vec<(String, String)> {
    fs::create_dir_all(work).unwrap();
    // Runs that are compared hash customers alike.
    fs::write(work.join("customer.key"), [7; 32]).unwrap();
    command.arg("run").arg(workspace_root().join("tests/pipelines/e2e.toml"));
    command.arg("--work").arg(work).args(["--json", "--quiet"]);
    let outcome = answer(&command.output().unwrap()).unwrap();
    let stages = outcome["stages"].as_array().unwrap().iter();
    stages
        .map(|stage| {
            let text = |name: &str| stage[name].as_str().unwrap_or_default().to_owned();
            (text("name"), text("artifact"))
        })
        .collect()
}

#[test]
fn a_store_on_s3_gets_the_bytes_of_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut command = Command::new(binary("lifecast").unwrap());
    command.env("LIFECAST_STORE", path("store"));
    let wanted = artifacts(&mut command, &path("work"));
    fs::create_dir_all(path("buckets/shop")).unwrap();
    let runtime = Runtime::new().unwrap();
    let server = serve(&runtime, &path("buckets"));
    assert_eq!(artifacts(&mut on_s3(server), &path("other-work")), wanted);

    // Two workers train the model of the run anew: to its bytes.
    let digest = |name: &str| {
        let found = wanted.iter().find(|(stage, _)| stage == name);
        found.map(|(_, digest)| digest.clone()).unwrap()
    };
    let settings = "members = [\"lstm\"]\nsize = \"tiny\"\nsteps_max = 40\nvalidate_every = 20\n\
                    checkpoint_every = 5\n";
    fs::write(path("train.toml"), settings).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let workers: Vec<_> = ["0", "1"]
        .iter()
        .map(|rank| {
            let mut command = on_s3(server);
            command.arg("worker").arg(format!("features={}", digest("features")));
            command.arg("--config").arg(path("train.toml")).arg("--json");
            command.arg("--work").arg(path("hosts"));
            command.env("RANK", rank).env("WORLD_SIZE", "2").env("LOCAL_WORLD_SIZE", "2");
            command.env("MASTER_PORT", port.to_string());
            command.spawn().unwrap()
        })
        .collect();
    for worker in workers {
        let made = answer(&worker.wait_with_output().unwrap()).unwrap();
        assert_eq!(made["artifact"].as_str(), Some(digest("train/lifecast").as_str()));
    }
}
