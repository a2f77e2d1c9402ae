//! `lifecast worker`: one rank of a training over hosts, started by whatever starts processes there,
//! with the variables that torchrun, Kubeflow and mpirun set.
//!
//! All workers get the same arguments. The one of number 0 hosts the rendezvous. The first rank of the
//! last generation publishes the model; the others answer it once it is in the store, whatever they
//! are at. Checkpoints are kept in the store, so a worker that is started again, here or on another
//! host, takes the training up.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use artifacts::{Folders, Order, Workplace};
use clap::ValueEnum;
use collective::rendezvous::Terms;
use collective::tcp;
use lifecycle::{Digest, Progress};
use tokio::sync::oneshot;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use trainer::rendezvous::{self, Group, Membership, Place};

use crate::batch::{self, BatchFlags};
use crate::clock;
use crate::failure::Failure;
use crate::flags::ClientTlsFlags;
use crate::keeper::Keeper;
use crate::stages::{Job, StageOutcome, Stages};

/// Which worker, and where the others are.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct WorkerFlags {
    #[command(flatten)]
    pub(crate) batch: BatchFlags,
    /// Take the job from stdin, from the command that started this worker
    #[arg(long)]
    pub(crate) job_from_stdin: bool,
    /// What ranks are linked by: `mpi` takes a program with feature `mpi`, started by mpirun; it needs no
    /// rendezvous, and a lost rank ends the whole job
    #[arg(long, value_enum, default_value_t = Link::Tcp)]
    collective: Link,
    /// This worker's number, from 0; also `PET_NODE_RANK`, `OMPI_COMM_WORLD_RANK` or
    /// `JOB_COMPLETION_INDEX`
    #[arg(long, env = "RANK")]
    rank: Option<u32>,
    /// Number of workers; also `PET_NNODES` or `OMPI_COMM_WORLD_SIZE`
    #[arg(long, env = "WORLD_SIZE")]
    world_size: Option<usize>,
    /// Train on with no fewer than these while lost workers come back; without it all wait
    #[arg(long, env = "LIFECAST_MIN_WORKERS")]
    min_workers: Option<usize>,
    /// Workers on this host, which share its cores; also `OMPI_COMM_WORLD_LOCAL_SIZE`
    #[arg(long, env = "LOCAL_WORLD_SIZE")]
    local_world_size: Option<usize>,
    /// Which of them this is, from 0: chooses its GPU with `--device gpu`; also
    /// `OMPI_COMM_WORLD_LOCAL_RANK`
    #[arg(long, env = "LOCAL_RANK")]
    local_rank: Option<usize>,
    /// Host of the worker of rank 0; also `PET_MASTER_ADDR`; without it this host
    #[arg(long, env = "MASTER_ADDR")]
    master_addr: Option<String>,
    /// Port at which it hosts the rendezvous; also `PET_MASTER_PORT`; without it 29500
    #[arg(long, env = "MASTER_PORT")]
    master_port: Option<u16>,
    /// This host's own address, at which the others reach it; without it that of the way to the
    /// worker of rank 0
    #[arg(long, env = "LIFECAST_HOST_ADDR", value_name = "IP")]
    host_addr: Option<IpAddr>,
}

/// What ranks are linked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Link {
    Tcp,
    Mpi,
}

/// The name that stands in the certificates of all workers.
const TLS_NAME: &str = "lifecast-worker";

/// How long a published model may take to be seen by all.
const PUBLISHED_WITHIN: Duration = Duration::from_mins(1);

/// How long the rendezvous is hosted after the work is done: all others then know that it is.
const LAST_WORDS: Duration = Duration::from_secs(6);

impl WorkerFlags {
    /// The same with the device that is this worker's own.
    pub(crate) fn on_own_device(mut self) -> Result<Self, Failure> {
        let local_rank = match self.local_rank {
            Some(rank) => rank,
            None => variable(&["OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"])
                .map_err(Failure::usage)?
                .unwrap_or(0),
        };
        let device = &mut self.batch.place.device;
        *device = device.of_worker(local_rank);
        Ok(self)
    }
}

/// Trains as one of the workers, and answers the model.
pub(crate) async fn work(flags: WorkerFlags, is_quiet: bool) -> Result<StageOutcome, Failure> {
    use trainer::Inputs;
    let mut flags = flags.on_own_device()?;
    let numbers = Numbers::of(&flags).map_err(Failure::usage)?;
    // Workers of one host work at the same key.
    let work = &mut flags.batch.place.work;
    *work = work.join(format!("worker-{}", numbers.rank));
    let BatchFlags { place, urls, out, .. } = &flags.batch;
    ensure_alone(urls.url.is_none() && urls.trainer_url.is_none())?;
    let stages = Stages::open(place, urls, is_quiet)?.of_world(numbers.min, numbers.max);
    let job: Job<trainer::Config> =
        batch::job("train", &flags.batch, Inputs::NEEDED, Inputs::OPTIONAL)?;
    let workplace = stages.place("train");
    let (key, checkpoint) = (workplace.key_digest(&job.order), workplace.checkpoint(&job.order));
    let is_made = workplace.lookup(&job.order).await?.is_some();
    let keeper = Keeper::start(stages.store(), key, &checkpoint).await?;
    let host = if numbers.rank == 0 && !is_made && flags.collective == Link::Tcp {
        Some(Host::start(&flags, numbers)?)
    } else {
        None
    };
    let made = train(stages, job, (&flags, numbers), checkpoint).await;
    keeper.end(made.is_ok()).await;
    if let Some(host) = host {
        host.end().await;
    }
    let (stages, artifact) = made?;
    let out = out.as_deref().filter(|_| numbers.rank == 0);
    batch::deliver(stages, artifact, out).await
}

fn ensure_alone(is_alone: bool) -> Result<(), Failure> {
    let reason = "a worker trains itself: leave --url and --trainer-url out";
    if is_alone { Ok(()) } else { Err(Failure::usage(anyhow::Error::msg(reason))) }
}

/// Trains or finds the model. The worker of the first rank publishes it; the others look for it.
async fn train(
    mut stages: Stages,
    job: Job<trainer::Config>,
    (flags, numbers): (&WorkerFlags, Numbers),
    checkpoint: PathBuf,
) -> Result<(Stages, Digest), Failure> {
    let is_another = Arc::new(AtomicBool::new(false));
    let order = job.order.clone();
    let mut party = Some(Party::of(flags, numbers)?);
    let heard = Arc::clone(&is_another);
    let make = move |config: &_, inputs: &Folders, output: &Path, progress: &dyn Progress| {
        let inputs = trainer::Inputs::named(inputs, &checkpoint);
        let party = party.take().expect("a model is made once");
        let done = party.train(config, &inputs, output, progress)?;
        heard.store(done.is_none(), Ordering::Release);
        done.ok_or_else(|| Failure::internal(anyhow::Error::msg("another worker writes the model")))
    };
    let workplace = stages.place("train");
    let made = tokio::select! {
        made = stages.make(job, make) => Some(made),
        // The others may be done while this one still asks for a rank.
        () = published(&workplace, &order) => None,
    };
    match made {
        Some(made) if !is_another.load(Ordering::Acquire) => {
            return made.map(|artifact| (stages, artifact));
        }
        Some(_) => {
            let seen = tokio::time::timeout(PUBLISHED_WITHIN, published(&workplace, &order)).await;
            let seconds = PUBLISHED_WITHIN.as_secs();
            let late = || anyhow::anyhow!("no model was published within {seconds} s");
            seen.map_err(|_| Failure::internal(late()))?;
        }
        None => {}
    }
    let found = workplace.lookup(&order).await?;
    let found = found.context("the model went away").map_err(Failure::internal)?;
    stages.found("train", found.digest);
    Ok((stages, found.digest))
}

/// Ends once the store has the artifact of an order; a store that is away is asked again.
async fn published(workplace: &Workplace, order: &Order<trainer::Config>) {
    while !matches!(workplace.lookup(order).await, Ok(Some(_))) {
        tokio::time::sleep(LOOK).await;
    }
}

/// Between looks for the model.
const LOOK: Duration = Duration::from_millis(500);

/// What a launcher's variable is set to.
#[allow(
    clippy::disallowed_methods,
    reason = "launchers differ in names, and clap takes one a flag"
)]
fn set(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The first of some variables that is set, as a number.
fn variable<T>(names: &[&str]) -> anyhow::Result<Option<T>>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let found = names.iter().find_map(|name| Some((name, set(name)?)));
    let Some((name, text)) = found else { return Ok(None) };
    text.parse().map(Some).with_context(|| format!("{name} is `{text}`, and no number"))
}

impl WorkerFlags {
    /// Where the rendezvous is.
    fn master(&self) -> anyhow::Result<(String, u16)> {
        let address = self.master_addr.clone().or_else(|| set("PET_MASTER_ADDR"));
        let port = match self.master_port {
            Some(port) => port,
            None => variable(&["PET_MASTER_PORT"])?.unwrap_or(29_500),
        };
        Ok((address.unwrap_or_else(|| "127.0.0.1".to_owned()), port))
    }
}

/// The numbers of this worker and of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Numbers {
    rank: u32,
    min: usize,
    max: usize,
    n_threads: usize,
}

impl Numbers {
    fn of(flags: &WorkerFlags) -> anyhow::Result<Self> {
        let rank = match flags.rank {
            Some(rank) => Some(rank),
            None => variable(&[
                "PET_NODE_RANK",
                "OMPI_COMM_WORLD_RANK",
                "PMI_RANK",
                "JOB_COMPLETION_INDEX",
            ])?,
        };
        let max = match flags.world_size {
            Some(max) => Some(max),
            None => variable(&["PET_NNODES", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"])?,
        };
        let local = match flags.local_world_size {
            Some(local) => local,
            None => variable(&["OMPI_COMM_WORLD_LOCAL_SIZE"])?.unwrap_or(1),
        };
        let rank = rank.context("which worker is this? give --rank or RANK")?;
        let max = max.context("how many workers are there? give --world-size or WORLD_SIZE")?;
        let min = flags.min_workers.unwrap_or(max);
        ensure!((rank as usize) < max, "rank {rank} of {max} workers: ranks count from 0");
        ensure!(0 < min && min <= max, "--min-workers {min} must be 1 to {max}, the workers");
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Ok(Self { rank, min, max, n_threads: (cores / local.max(1)).max(1) })
    }
}

/// Certificate, key and authority of all workers, PEM; nothing where connections are not encrypted.
fn certificates(flags: &ClientTlsFlags) -> Result<Option<[Vec<u8>; 3]>, Failure> {
    let ClientTlsFlags { ca, client_cert, client_key } = flags;
    let (Some(ca), Some(certificate), Some(key)) = (ca, client_cert, client_key) else {
        let is_none = ca.is_none() && client_cert.is_none() && client_key.is_none();
        let reason = "workers need --tls-ca, --tls-client-cert and --tls-client-key, or none";
        return if is_none { Ok(None) } else { Err(Failure::usage(anyhow::Error::msg(reason))) };
    };
    let read = |path: &Path| fs::read(path).map_err(|error| Failure::given_path(path, error));
    Ok(Some([read(certificate)?, read(key)?, read(ca)?]))
}

/// Where this worker meets the others.
enum Party {
    /// In the group that the worker of rank 0 hosts.
    Group(Membership),
    /// In the MPI job that it was started in.
    #[cfg(feature = "mpi")]
    Job(mpi::Job),
}

impl Party {
    fn of(flags: &WorkerFlags, numbers: Numbers) -> Result<Self, Failure> {
        match flags.collective {
            Link::Tcp => membership(flags, numbers).map(Self::Group),
            #[cfg(feature = "mpi")]
            Link::Mpi => mpi::Job::new(numbers.n_threads).map(Self::Job),
            #[cfg(not(feature = "mpi"))]
            Link::Mpi => {
                let reason = "--collective mpi: build this program with `--features lifecast/mpi`";
                Err(Failure::usage(anyhow::Error::msg(reason)))
            }
        }
    }

    fn train(
        self,
        config: &trainer::Config,
        inputs: &trainer::Inputs<'_>,
        output: &Path,
        progress: &dyn Progress,
    ) -> Result<Option<trainer::Summary>, trainer::Error> {
        match self {
            Self::Group(mut member) => {
                let telling = member.telling(progress);
                let done = trainer::run_rank(config, inputs, output, &telling, &mut member)?;
                member.finish();
                Ok(done)
            }
            #[cfg(feature = "mpi")]
            Self::Job(mut job) => trainer::run_rank(config, inputs, output, progress, &mut job),
        }
    }
}

/// Ranks of an MPI job.
#[cfg(feature = "mpi")]
mod mpi {
    use collective::{Clock, Collective};
    use trainer::{Meeting, NoMeeting};

    use crate::clock;
    use crate::failure::Failure;

    /// The one generation of an MPI job: where a rank is lost MPI ends it.
    pub(super) struct Job {
        ranks: Option<Box<dyn Collective>>,
        n_threads: usize,
        clock: Clock,
    }

    impl Job {
        pub(super) fn new(n_threads: usize) -> Result<Self, Failure> {
            let ranks = collective::mpi::Mpi::new();
            let ranks = ranks.map_err(|error| Failure::usage(error.into()))?;
            Ok(Self { ranks: Some(Box::new(ranks)), n_threads, clock: clock::since_start() })
        }
    }

    impl Meeting for Job {
        fn meet(&mut self) -> Result<Box<dyn Collective>, NoMeeting> {
            self.ranks.take().ok_or_else(|| NoMeeting("the MPI job is over".into()))
        }

        fn is_awaited(&self) -> bool {
            false
        }

        fn n_threads(&self) -> usize {
            self.n_threads
        }

        fn clock(&self) -> Clock {
            self.clock.clone()
        }
    }
}

/// Joins the group that the worker of rank 0 hosts.
fn membership(flags: &WorkerFlags, numbers: Numbers) -> Result<Membership, Failure> {
    let Numbers { rank, min, max, n_threads } = numbers;
    let certificates = certificates(&flags.batch.urls.tls)?;
    let host = match flags.host_addr {
        Some(host) => host,
        None => own_address(flags).map_err(Failure::usage)?,
    };
    let tls = certificates
        .as_ref()
        .map(|[certificate, key, ca]| tcp::Tls::new(certificate, key, ca, TLS_NAME))
        .transpose()
        .map_err(|error| Failure::usage(error.into()))?;
    let place = Place { worker: rand::random(), order: rank, n_ranks: Some(max), host, n_threads };
    let channel = channel(flags, certificates.as_ref()).map_err(Failure::usage)?;
    Membership::new(channel, &place, Terms::new(min, max), (tls, clock::since_start()))
        .map_err(|error| Failure::internal(error.into()))
}

fn channel(flags: &WorkerFlags, certificates: Option<&[Vec<u8>; 3]>) -> anyhow::Result<Channel> {
    let (master_addr, master_port) = flags.master()?;
    let scheme = if certificates.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{master_addr}:{master_port}");
    let endpoint = Endpoint::from_shared(url.clone()).with_context(|| format!("`{url}`"))?;
    // A connection that a cut network left behind is given up before a lease is.
    let endpoint = endpoint
        .connect_timeout(Duration::from_secs(1))
        .http2_keep_alive_interval(Duration::from_secs(1))
        .keep_alive_timeout(Duration::from_secs(2))
        .keep_alive_while_idle(true);
    let Some([certificate, key, ca]) = certificates else { return Ok(endpoint.connect_lazy()) };
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(ca))
        .identity(Identity::from_pem(certificate, key))
        .domain_name(TLS_NAME);
    Ok(endpoint.tls_config(tls).context("--tls-ca and its kin")?.connect_lazy())
}

/// The address of this host on its way to the worker of rank 0.
fn own_address(flags: &WorkerFlags) -> anyhow::Result<IpAddr> {
    let (master_addr, port) = flags.master()?;
    let wrong = || format!("the way to MASTER_ADDR {master_addr} is not known: give --host-addr");
    let mut addresses = (master_addr.as_str(), port).to_socket_addrs().with_context(wrong)?;
    let master = addresses.next().with_context(wrong)?;
    // No packet is sent: the system only chooses a way.
    let any: IpAddr =
        if master.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).with_context(wrong)?;
    socket.connect(master).with_context(wrong)?;
    Ok(socket.local_addr().with_context(wrong)?.ip())
}

/// The rendezvous, in the worker of rank 0.
struct Host {
    stop: oneshot::Sender<()>,
    group: Group,
}

impl Host {
    fn start(flags: &WorkerFlags, numbers: Numbers) -> Result<Self, Failure> {
        let tls = &flags.batch.urls.tls;
        let (_, port) = flags.master().map_err(Failure::usage)?;
        let own = own_address(flags).map_err(Failure::usage)?;
        let host = match own {
            _ if own.is_loopback() => own,
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let flags = service::Flags {
            listen: SocketAddr::from((host, port)),
            tls_cert: tls.client_cert.clone(),
            tls_key: tls.client_key.clone(),
            tls_client_ca: tls.client_cert.as_ref().and(tls.ca.clone()),
            ..service::Flags::default()
        };
        // Another process may have hosted this training before, and its workers hold leases.
        let group = Group::taken_over(Terms::new(numbers.min, numbers.max), clock::since_start());
        let group = group.map_err(|error| Failure::usage(error.into()))?;
        let (stop, stopped) = oneshot::channel::<()>();
        rendezvous::host(group.clone(), flags, stopped)?;
        Ok(Self { stop, group })
    }

    /// Stops once nobody works any more, or after a while.
    async fn end(self) {
        self.group.close();
        let pause = Duration::from_millis(100);
        for _ in 0..LAST_WORDS.as_millis() / pause.as_millis() {
            if self.group.progress().0 == 0 {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        drop(self.stop);
    }
}
