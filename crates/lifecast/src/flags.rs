//! Flags that several commands share: where things are.

use std::path::PathBuf;

use model::DeviceName;

use crate::failure::Failure;

/// Where artifacts and unfinished work are.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PlaceFlags {
    /// Object store of artifacts: a folder, `memory://` or `s3://bucket/prefix`
    #[arg(long, env = "LIFECAST_STORE", default_value = "lifecast-store")]
    pub(crate) store: String,
    /// Folder for fetched artifacts, checkpoints and unfinished work
    #[arg(long, env = "LIFECAST_WORK", default_value = "lifecast-work")]
    pub(crate) work: PathBuf,
    /// Where networks compute: `cpu`, the GPU `gpu:N`, or `gpu`, one for each worker of this machine;
    /// GPUs in 32 bits, or `gpu:N/f16`, `gpu:N/bf16`
    #[arg(long, env = "LIFECAST_DEVICE", default_value_t, value_name = "cpu|gpu|gpu:N")]
    pub(crate) device: DeviceName,
}

impl PlaceFlags {
    /// Opens the device that networks of this process compute on.
    pub(crate) fn open_device(&self) -> Result<(), Failure> {
        let device =
            model::compute_on(self.device).map_err(|error| Failure::usage(error.into()))?;
        tracing::debug!(device = %device.name(), hardware = device.hardware(), "opened");
        Ok(())
    }
}

/// Where the servers of stages are. A stage without one runs in this process.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Servers")]
pub(crate) struct UrlFlags {
    /// Server of every stage that has no address of its own, such as `http://127.0.0.1:7700`
    #[arg(long, env = "LIFECAST_URL")]
    pub(crate) url: Option<String>,
    /// Server of ingest
    #[arg(long, env = "LIFECAST_INGEST_URL")]
    pub(crate) ingest_url: Option<String>,
    /// Server of features
    #[arg(long, env = "LIFECAST_FEATURES_URL")]
    pub(crate) features_url: Option<String>,
    /// Server of the trainer
    #[arg(long, env = "LIFECAST_TRAINER_URL")]
    pub(crate) trainer_url: Option<String>,
    /// Server of the predictor
    #[arg(long, env = "LIFECAST_PREDICTOR_URL")]
    pub(crate) predictor_url: Option<String>,
    /// Server of the evaluator
    #[arg(long, env = "LIFECAST_EVALUATOR_URL")]
    pub(crate) evaluator_url: Option<String>,
    /// Server of the explainer
    #[arg(long, env = "LIFECAST_EXPLAINER_URL")]
    pub(crate) explainer_url: Option<String>,
    /// Server of the planner
    #[arg(long, env = "LIFECAST_PLANNER_URL")]
    pub(crate) planner_url: Option<String>,
    #[command(flatten)]
    pub(crate) tls: ClientTlsFlags,
}

/// How `https` servers are recognised, and recognise us.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ClientTlsFlags {
    /// Certificates, PEM, one of which must have signed those of `https` servers
    #[arg(long = "tls-ca", env = "LIFECAST_TLS_CA")]
    pub(crate) ca: Option<PathBuf>,
    /// Our own certificate chain, PEM, for servers that ask for one
    #[arg(long = "tls-client-cert", env = "LIFECAST_TLS_CLIENT_CERT", requires = "client_key")]
    pub(crate) client_cert: Option<PathBuf>,
    /// Private key of our own certificate, PEM
    #[arg(long = "tls-client-key", env = "LIFECAST_TLS_CLIENT_KEY", requires = "client_cert")]
    pub(crate) client_key: Option<PathBuf>,
}

impl UrlFlags {
    /// The address of a stage's server, if it has one.
    pub(crate) fn of_stage(&self, stage: &str) -> Option<&str> {
        let own = match stage {
            "ingest" => &self.ingest_url,
            "features" => &self.features_url,
            "train" => &self.trainer_url,
            "predict" => &self.predictor_url,
            "evaluate" => &self.evaluator_url,
            "explain" => &self.explainer_url,
            "plan" => &self.planner_url,
            // The others are no services: they run where the command runs.
            _ => return None,
        };
        own.as_deref().or(self.url.as_deref())
    }
}
