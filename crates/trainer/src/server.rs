//! `lifecast.v1.Trainer`.

use artifacts::Order;
use service::{Stage, produce};
use tonic::{Request, Response, Status};
use wire::v1::trainer_server::{Trainer, TrainerServer};
use wire::{Start, invalid_argument, read_start, v1};

use crate::{Config, Error, Inputs, Launcher, run, run_with_workers};

/// The service, for a server that decodes messages of at most `max_message_size` bytes. Trainings
/// are done by workers of this machine, if a launcher is given, else by this process.
pub fn server(
    stage: Stage,
    max_message_size: usize,
    launcher: Option<Launcher>,
) -> TrainerServer<impl Trainer> {
    TrainerServer::new(Server { stage, launcher }).max_decoding_message_size(max_message_size)
}

struct Server {
    stage: Stage,
    launcher: Option<Launcher>,
}

#[tonic::async_trait]
impl Trainer for Server {
    async fn start_training(
        &self,
        request: Request<v1::StartTrainingRequest>,
    ) -> Result<Response<v1::StartTrainingResponse>, Status> {
        let (start, digest) = read_start(request.into_inner()).map_err(invalid_argument)?;
        start.check_inputs(Inputs::NEEDED, Inputs::OPTIONAL).map_err(invalid_argument)?;
        let config: Config = service::config(&start.config_toml)?;
        let Start { request_id, config_toml: _, inputs } = start;
        let launcher = self.launcher.clone();
        let run = self.stage.start_job(&request_id, digest, move |job| {
            let order = Order { inputs, ..Order::new(config) };
            let checkpoint = job.place.checkpoint(&order);
            produce(&job, order, Error::kind, move |config, inputs, output, progress| {
                let inputs = Inputs::named(inputs, &checkpoint);
                match &launcher {
                    None => run(config, &inputs, output, progress),
                    Some(launcher) => run_with_workers(config, &inputs, output, progress, launcher),
                }
            })
        })?;
        Ok(Response::new(v1::StartTrainingResponse { run: Some(run.into()) }))
    }
}
