//! `lifecast.v1.Ingest`.

use std::path::Path;

use service::{Job, Stage, failure, produce};
use tonic::{Request, Response, Status};
use wire::v1::ingest_server::{Ingest, IngestServer};
use wire::{Failure, Outcome, Start, StartIngest, invalid_argument, request_digest, v1};

use crate::{Config, Error, Mapping, Variables, order, run_mapping};

/// The variable by which a mapping names the files of the input `raw`.
pub const RAW: &str = "LIFECAST_RAW";

/// Names of the artifacts that a run reads where they are given.
pub const OPTIONAL_INPUTS: &[&str] = &["raw"];

/// The service, for a server that decodes messages of at most `max_message_size` bytes. Ids are
/// hashed with `key`; paths of mappings may name those of `variables` that are for requests
/// ([`Variables::for_requests`]).
pub fn server(
    stage: Stage,
    max_message_size: usize,
    key: Vec<u8>,
    variables: Variables,
) -> IngestServer<impl Ingest> {
    let server = Server { stage, key, variables: variables.for_requests() };
    IngestServer::new(server).max_decoding_message_size(max_message_size)
}

struct Server {
    stage: Stage,
    key: Vec<u8>,
    variables: Variables,
}

#[tonic::async_trait]
impl Ingest for Server {
    async fn start_ingest(
        &self,
        request: Request<v1::StartIngestRequest>,
    ) -> Result<Response<v1::StartIngestResponse>, Status> {
        let message = request.into_inner();
        let digest = request_digest(&message);
        let mut request = StartIngest::try_from(message).map_err(invalid_argument)?;
        request.start.check_inputs(&[], OPTIONAL_INPUTS).map_err(invalid_argument)?;
        let config: Config = service::config(&request.start.config_toml)?;
        let request_id = std::mem::take(&mut request.start.request_id);
        let (key, variables) = (self.key.clone(), self.variables.clone());
        let run = self.stage.start_job(&request_id, digest, move |job| {
            ingest(&job, config, request, key, variables)
        })?;
        Ok(Response::new(v1::StartIngestResponse { run: Some(run.into()) }))
    }
}

fn ingest(
    job: &Job,
    config: Config,
    request: StartIngest,
    key: Vec<u8>,
    mut variables: Variables,
) -> Result<Outcome, Failure> {
    let StartIngest { start, mapping_uri, mapping_toml } = request;
    let Start { request_id: _, config_toml: _, inputs } = start;
    if let Some(raw) = inputs.get("raw") {
        let folder = job.wait(job.place.fetch(raw)).map_err(|e| failure(e.kind(), &e))?;
        variables.set(RAW, folder.display().to_string());
    }
    let failed = |error: Error| failure(error.kind(), &error);
    let path = Path::new(&mapping_uri);
    let mapping = match mapping_toml {
        Some(text) => Mapping::read(path, text, &variables),
        None => Mapping::load(path, &variables),
    };
    let mapping = mapping.map_err(failed)?;
    let order = order(config, &mapping, &key).map_err(failed)?;
    produce(job, order, Error::kind, move |config, _, output, progress| {
        run_mapping(config, &mapping, &key, output, progress)
    })
}
