//! `lifecast.v1.Rendezvous`.

use collective::rendezvous::{ADDRESS_LEN_MAX, Ask, Assignment, Refusal, Reply, Request};
use lifecycle::Invalid;
use std::net::SocketAddr;
use tokio::sync::oneshot;
use tonic::{Code, Response, Status};
use wire::v1;
use wire::v1::rendezvous_server::{Rendezvous, RendezvousServer};

use super::{Group, Told};

/// The service of a group, for a server that decodes messages of at most `max_message_size` bytes.
pub fn server(group: Group, max_message_size: usize) -> RendezvousServer<impl Rendezvous + Clone> {
    RendezvousServer::new(Server { group }).max_decoding_message_size(max_message_size)
}

/// Serves a group, inside of a tokio runtime, until `stopped` ends. Answers where.
pub fn host(
    group: Group,
    flags: service::Flags,
    stopped: oneshot::Receiver<()>,
) -> Result<SocketAddr, service::Error> {
    flags.check()?;
    let listener = service::Listener::bind(&flags)?;
    let address = listener.address();
    let mut services = service::Services::new();
    services.add(server(group, flags.max_message_size()));
    service::spawn("rendezvous", async move {
        let shutdown = async { drop(stopped.await) };
        if let Err(error) = service::serve(listener, services, &flags, shutdown).await {
            tracing::error!(%error, "the rendezvous failed");
        }
    });
    Ok(address)
}

#[derive(Clone)]
struct Server {
    group: Group,
}

#[tonic::async_trait]
impl Rendezvous for Server {
    async fn join(
        &self,
        request: tonic::Request<v1::JoinRequest>,
    ) -> Result<Response<v1::JoinResponse>, Status> {
        use v1::join_response::Answer;
        let v1::JoinRequest { worker, number, address, order, world_size, after } =
            request.into_inner();
        if after > GENERATION_MAX {
            let reason = format!("{after} generations have not been");
            return Err(wire::invalid_argument(Invalid::new("after", reason)));
        }
        let n_ranks = world_size.map(|n_ranks| n_ranks as usize);
        let ask = Ask::Join { address, order, n_ranks, after };
        let answer = match self.group.answer(Request { worker, number, ask }) {
            Reply::Assigned(assignment) => {
                let Assignment { generation, rank, addresses } = assignment;
                Answer::Assigned(v1::Assignment { generation, rank: rank as u32, addresses })
            }
            Reply::Ended { generation } => Answer::Ended(v1::Ended { generation }),
            Reply::Refused(refusal) => return Err(refused(refusal)),
            Reply::Waiting | Reply::Renewed { .. } => Answer::Waiting(v1::Waiting {}),
        };
        Ok(Response::new(v1::JoinResponse { answer: Some(answer) }))
    }

    async fn heartbeat(
        &self,
        request: tonic::Request<v1::HeartbeatRequest>,
    ) -> Result<Response<v1::HeartbeatResponse>, Status> {
        use v1::heartbeat_response::Answer;
        let v1::HeartbeatRequest { worker, number, generation, progress } = request.into_inner();
        let ask = Ask::Heartbeat { generation };
        let answer = match self.group.answer(Request { worker, number, ask }) {
            Reply::Renewed { n_waiting } => {
                if let Some(v1::PartProgress { mut part, done, total }) = progress {
                    part.truncate(part.floor_char_boundary(PART_LEN_MAX));
                    self.group.note(worker, Told { part, done, total });
                }
                Answer::Renewed(v1::Renewed { n_waiting: n_waiting as u32 })
            }
            Reply::Ended { generation } => Answer::Ended(v1::Ended { generation }),
            Reply::Waiting | Reply::Assigned(_) | Reply::Refused(_) => {
                Answer::Waiting(v1::Waiting {})
            }
        };
        Ok(Response::new(v1::HeartbeatResponse { answer: Some(answer) }))
    }

    async fn leave(
        &self,
        request: tonic::Request<v1::LeaveRequest>,
    ) -> Result<Response<v1::LeaveResponse>, Status> {
        let v1::LeaveRequest { worker, number } = request.into_inner();
        self.group.answer(Request { worker, number, ask: Ask::Leave });
        Ok(Response::new(v1::LeaveResponse {}))
    }
}

/// More generations than a group forms in a lifetime.
const GENERATION_MAX: u64 = 1 << 48;

/// Longest name of a part, in bytes.
const PART_LEN_MAX: usize = 128;

fn refused(refusal: Refusal) -> Status {
    let (code, reason) = match refusal {
        Refusal::Address => {
            let reason = format!("must have 1 to {ADDRESS_LEN_MAX} bytes");
            return wire::invalid_argument(Invalid::new("address", reason));
        }
        Refusal::WorldSize { .. } => (Code::FailedPrecondition, "WORLD_SIZE"),
        Refusal::Full { .. } => (Code::ResourceExhausted, "TOO_MANY_WORKERS"),
    };
    service::status(code, &refusal.to_string(), reason)
}
