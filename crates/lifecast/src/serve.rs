//! `lifecast serve`: stages as gRPC servers in this process, until it is asked to stop.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread;

use artifacts::Store;
use clap::{ValueEnum, value_parser};
use serde::Serialize;
use service::{Listener, Runs, Services, Stage};
use tokio::sync::oneshot;

use crate::customer_key;
use crate::failure::Failure;
use crate::flags::{ClientTlsFlags, PlaceFlags};
use crate::remote::endpoint;
use crate::stages::workplace;
use crate::workers::{WorkersFlags, with_world_size, world_size_of};

/// What is served, where.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServeFlags {
    /// Services of this process
    #[arg(required = true, value_enum)]
    services: Vec<Served>,
    #[command(flatten)]
    place: PlaceFlags,
    #[command(flatten)]
    server: service::Flags,
    /// The predictor that live plans ask; without it, one in this process
    #[arg(long, env = "LIFECAST_PREDICTOR_URL")]
    predictor_url: Option<String>,
    /// How that predictor is recognised, and recognises us
    #[command(flatten)]
    tls: ClientTlsFlags,
    /// Threads that answer live calls; 0: one for each core
    #[arg(long, env = "LIFECAST_THREADS", default_value_t = 0, value_parser = value_parser!(u32).range(..=1024))]
    threads: u32,
    #[command(flatten)]
    workers: WorkersFlags,
    /// Stop, as on SIGTERM, when stdin ends: with the process that started this one
    #[arg(long)]
    until_stdin_ends: bool,
}

/// A service by the name of its stage's crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Served {
    /// All of them
    All,
    Ingest,
    Features,
    Trainer,
    Predictor,
    Explainer,
    Evaluator,
    Planner,
}

/// What `--json` says once the server listens.
#[derive(Debug, Serialize)]
struct Listening {
    address: SocketAddr,
    services: Vec<String>,
}

/// Serves until SIGTERM or ctrl-c, then drains.
pub(crate) async fn serve(flags: ServeFlags, is_quiet: bool, is_json: bool) -> Result<(), Failure> {
    flags.server.check()?;
    let listener = Listener::bind(&flags.server)?;
    let address = listener.address();
    let served: BTreeSet<Served> = if flags.services.contains(&Served::All) {
        Served::value_variants()[1..].iter().copied().collect()
    } else {
        flags.services.iter().copied().collect()
    };
    let services = services(&flags, &served)?;
    let names: Vec<String> =
        served.iter().map(|served| format!("{served:?}").to_lowercase()).collect();
    if !is_quiet {
        crate::say(&format!("{} at {address}", names.join(", ")));
    }
    if is_json {
        crate::answer(&Listening { address, services: names })?;
    }
    let until_stdin_ends = flags.until_stdin_ends;
    let shutdown = async {
        tokio::select! {
            () = service::terminated() => {}
            () = stdin_ended(), if until_stdin_ends => {}
        }
    };
    Ok(service::serve(listener, services, &flags.server, shutdown).await?)
}

fn services(flags: &ServeFlags, served: &BTreeSet<Served>) -> Result<Services, Failure> {
    let ServeFlags { place, server, .. } = flags;
    place.open_device()?;
    let store = Store::open(&place.store)?;
    let runs = Runs::new(&server.runs);
    let stage = |name: &str| Stage::new(&runs, workplace(name, &store, &place.work));
    let max_size = server.max_message_size();
    let n_threads = match flags.threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        n_threads => n_threads as usize,
    };
    let predictor = predictor::server(stage("predict"), max_size, n_threads);
    let mut services = Services::new();
    for service in served {
        match service {
            Served::All => {}
            Served::Ingest => {
                let key = customer_key::read_or_make(&place.work)?;
                let variables = std::env::vars().collect();
                services.add(ingest::server(stage("ingest"), max_size, key, variables));
            }
            Served::Features => {
                services.add(features::server(stage("features"), max_size));
            }
            Served::Trainer => {
                let launcher = flags.workers.launcher(place.device)?;
                let place = workplace("train", &store, &place.work);
                let place = match &launcher {
                    Some(launcher) => with_world_size(place, &world_size_of(launcher)),
                    None => place,
                };
                let stage = Stage::new(&runs, place);
                services.add(trainer::server(stage, max_size, launcher));
            }
            Served::Predictor => {
                services.add(predictor.clone());
            }
            Served::Explainer => {
                services.add(explainer::server(stage("explain"), max_size, n_threads));
            }
            Served::Evaluator => {
                services.add(evaluator::server(stage("evaluate"), max_size, n_threads));
            }
            Served::Planner => {
                let predictor = match &flags.predictor_url {
                    Some(url) => {
                        let endpoint = endpoint(url, &flags.tls).map_err(Failure::usage)?;
                        endpoint.connect_lazy()
                    }
                    None => service::in_process(predictor.clone()),
                };
                services.add(planner::server(stage("plan"), max_size, predictor));
            }
        }
    }
    services.add_runs(&runs, server);
    Ok(services)
}

/// Ends when nobody can write to stdin any more.
async fn stdin_ended() {
    let (ended, end) = oneshot::channel::<()>();
    // A thread of its own, which nobody waits for: the runtime would not stop before a read does.
    thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(ended);
    });
    drop(end.await);
}
