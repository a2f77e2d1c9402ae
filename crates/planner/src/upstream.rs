//! The predictor, as the planner asks it.

use service::status;
use tonic::transport::Channel;
use tonic::{Code, Status};
use wire::v1::predictor_client::PredictorClient;
use wire::{ForecastQuery, ServedForecast};

/// A predictor somewhere.
#[derive(Debug, Clone)]
pub(crate) struct Predictor {
    client: PredictorClient<Channel>,
}

impl Predictor {
    /// The predictor at the end of a channel, whose answers have at most `max_message_size` bytes.
    pub(crate) fn new(channel: Channel, max_message_size: usize) -> Self {
        let client = PredictorClient::new(channel).max_decoding_message_size(max_message_size);
        Self { client }
    }

    /// One forecast for each series of the query, in its order.
    pub(crate) async fn forecasts(
        &self,
        query: ForecastQuery,
    ) -> Result<Vec<ServedForecast>, Status> {
        let answer = self.client.clone().predict(wire::v1::PredictRequest::from(query)).await;
        let answer = answer.map_err(|refused| match refused.code() {
            // What the predictor says of the request holds for the plan too.
            Code::NotFound | Code::InvalidArgument | Code::FailedPrecondition => refused,
            _ => {
                let message = format!(
                    "the predictor does not answer ({}); see the planner's --predictor-url",
                    refused.message()
                );
                status(Code::Unavailable, &message, "PREDICTOR_UNAVAILABLE")
            }
        })?;
        Vec::try_from(answer.into_inner()).map_err(|invalid| {
            let message = format!("the predictor's answer is malformed: {invalid}");
            status(Code::Internal, &message, "PREDICTOR")
        })
    }
}
