//! `lifecast.v1.Features`.

use service::Stage;
use tonic::{Request, Response, Status};
use wire::v1::features_server::{Features, FeaturesServer};
use wire::{invalid_argument, read_start, v1};

use crate::{Error, Inputs, run};

/// The service, for a server that decodes messages of at most `max_message_size` bytes.
pub fn server(stage: Stage, max_message_size: usize) -> FeaturesServer<impl Features> {
    FeaturesServer::new(Server { stage }).max_decoding_message_size(max_message_size)
}

struct Server {
    stage: Stage,
}

#[tonic::async_trait]
impl Features for Server {
    async fn start_features(
        &self,
        request: Request<v1::StartFeaturesRequest>,
    ) -> Result<Response<v1::StartFeaturesResponse>, Status> {
        let start = read_start(request.into_inner()).map_err(invalid_argument)?;
        let run = self.stage.start(
            start,
            (Inputs::NEEDED, &[]),
            Error::kind,
            |config, inputs, output, progress| {
                run(config, &Inputs::named(inputs), output, progress)
            },
        )?;
        Ok(Response::new(v1::StartFeaturesResponse { run: Some(run.into()) }))
    }
}
