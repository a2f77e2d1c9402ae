//! `lifecast attribute`: why a model of somebody else answers a row of numbers as it does.
//!
//! The model stands behind the Open Inference Protocol, so any server of it will do: Triton, `KServe`,
//! `MLServer`, `OpenVINO`. It is asked for many rows at once; what is told is [`explainer::rows`]' matter.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use explainer::estimator::Method;
use explainer::rows::{Group, RowError, RowExplanation, RowQuestion};
use serde::Serialize;
use wire::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use wire::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use wire::inference::model_metadata_response::TensorMetadata;
use wire::inference::{
    InferTensorContents, ModelInferRequest, ModelInferResponse, ModelMetadataRequest,
};

use crate::failure::Failure;
use crate::flags::ClientTlsFlags;
use crate::remote::Remote;

/// Rows of one request.
const BATCH: usize = 1024;

/// Which row of which table, to which model.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AttributeFlags {
    /// Server of the model, such as `http://127.0.0.1:8001`
    #[arg(long, value_name = "URL")]
    server: String,
    /// Name of the model there
    #[arg(long)]
    model: String,
    /// Its version; without one the server's choice
    #[arg(long, default_value = "", hide_default_value = true)]
    model_version: String,
    /// Table of numbers: its columns are the model's inputs, in their order; other rows stand in for what is
    /// absent
    #[arg(long, value_name = "FILE.csv|FILE.parquet")]
    rows: PathBuf,
    /// Which row is explained, from 0
    #[arg(long, default_value_t = 0)]
    row: usize,
    /// Columns that are credited together; every other column is a player of its own; 16 players at most
    #[arg(long = "player", value_name = "NAME=COLUMN,COLUMN")]
    players: Vec<String>,
    /// Input tensor of shape `[rows, columns]`; without it the only one
    #[arg(long)]
    input: Option<String>,
    /// Output tensor of shape `[rows]` or `[rows, outputs]`; without it the first of floating point
    #[arg(long)]
    output: Option<String>,
    /// `exact`, `permutation`, `leverage`, `odd` or `gaussian`; without it by players and budget
    #[arg(long, value_parser = method)]
    method: Option<Method>,
    /// Relative error that is good enough
    #[arg(long, default_value_t = 0.05)]
    tolerance: f64,
    /// Rows that the model is asked about at most
    #[arg(long, value_name = "N")]
    evaluations_max: Option<usize>,
    /// Rows that stand in for what is absent, 1 to 32
    #[arg(long, value_name = "N", default_value_t = 8)]
    background: usize,
    /// Seed of the sampled coalitions
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    tls: ClientTlsFlags,
}

/// A row explained, and by whose model.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Attributed {
    model: String,
    server: String,
    row: usize,
    /// Names of the outputs. Length `n_outputs`.
    outputs: Vec<String>,
    #[serde(flatten)]
    explanation: RowExplanation,
}

fn method(name: &str) -> Result<Method, String> {
    let found = Method::ALL.into_iter().find(|method| method.name() == name);
    found.ok_or_else(|| format!("none of {}", Method::ALL.map(Method::name).join(", ")))
}

/// Explains a row to the model.
pub(crate) async fn attribute(flags: AttributeFlags) -> Result<Attributed, Failure> {
    let table = tables::numbers(&flags.rows).map_err(explainer::Error::from)?;
    let groups = groups(&flags.players, &table.columns).map_err(Failure::usage)?;
    let config = explainer::Config {
        n_background: flags.background,
        method: flags.method,
        tolerance: flags.tolerance,
        evaluations_max: flags.evaluations_max,
        seed: flags.seed,
        ..explainer::Config::default()
    };
    let model = Model::open(&flags, table.columns.len()).await?;
    let (row, rows) = (flags.row, table.rows);
    let runtime = tokio::runtime::Handle::current();
    let asked = model.clone();
    let work = move || {
        let question = RowQuestion { config: &config, groups: &groups, row, rows: &rows };
        question.answer(|rows| runtime.block_on(asked.answer(rows)))
    };
    let explained = tokio::task::spawn_blocking(work).await;
    let explanation = explained.map_err(|error| Failure::internal(error.into()))?;
    let explanation = explanation.map_err(|error| match error {
        RowError::Question(error) => error.into(),
        RowError::Model(failure) => failure,
    })?;
    let outputs = model.names(explanation.answers.len());
    let AttributeFlags { model, server, row, .. } = flags;
    Ok(Attributed { model, server, row, outputs, explanation })
}

impl Attributed {
    /// For people: a table an output.
    pub(crate) fn text(&self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        let RowExplanation { players, attributions, answers, quantile, .. } = &self.explanation;
        let width = players.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(8);
        for ((name, attribution), answer) in self.outputs.iter().zip(attributions).zip(answers) {
            let base = attribution.base_value;
            let _ = writeln!(text, "{name}: {answer:.6}, of which {base:.6} with all absent");
            let values = attribution.values.iter().zip(&attribution.standard_errors);
            let mut values: Vec<_> = players.iter().zip(values).collect();
            values.sort_by(|a, b| b.1.0.abs().total_cmp(&a.1.0.abs()));
            for (player, (value, error)) in values {
                let _ = writeln!(text, "  {player:width$}  {value:+.6} ± {:.6}", quantile * error);
            }
        }
        let RowExplanation { n_evaluations, relative_error, method, .. } = &self.explanation;
        let percent = 100.0 * relative_error;
        let _ = writeln!(text, "{method}, {n_evaluations} rows asked, error within {percent:.1} %");
        text
    }
}

/// The players: those that are named, and each other column.
fn groups(named: &[String], columns: &[String]) -> anyhow::Result<Vec<Group>> {
    let position = |name: &str| {
        let found = columns.iter().position(|column| column == name);
        found.with_context(|| format!("--player: no column `{name}` among {}", columns.join(", ")))
    };
    let mut groups = Vec::new();
    for given in named {
        let (name, members) = given
            .split_once('=')
            .with_context(|| format!("--player `{given}` is not NAME=COLUMN,COLUMN"))?;
        let members = members.split(',').map(position).collect::<anyhow::Result<_>>()?;
        groups.push(Group { name: name.to_owned(), columns: members });
    }
    for (at, column) in columns.iter().enumerate() {
        if !groups.iter().any(|group| group.columns.contains(&at)) {
            groups.push(Group { name: column.clone(), columns: vec![at] });
        }
    }
    Ok(groups)
}

/// A model behind the protocol.
#[derive(Debug, Clone)]
struct Model {
    server: Remote,
    name: String,
    version: String,
    input: TensorMetadata,
    output: String,
}

impl Model {
    /// Asks what the model takes and answers, and chooses its tensors.
    async fn open(flags: &AttributeFlags, n_columns: usize) -> Result<Self, Failure> {
        let server = Remote::at(&flags.server, &flags.tls)?;
        let mut client = GrpcInferenceServiceClient::new(server.channel());
        let (name, version) = (flags.model.clone(), flags.model_version.clone());
        let request = ModelMetadataRequest { name: name.clone(), version: version.clone() };
        let asked = client.model_metadata(request).await;
        let told = asked.map_err(|status| server.refused(&status))?.into_inner();
        let input =
            chosen("input", &told.inputs, flags.input.as_deref(), |_| told.inputs.len() == 1);
        let input = input.map_err(Failure::usage)?;
        let is_float = |tensor: &TensorMetadata| ["FP32", "FP64"].contains(&&*tensor.datatype);
        let output = chosen("output", &told.outputs, flags.output.as_deref(), is_float);
        let output = output.map_err(Failure::usage)?.name;
        let wanted = input.shape.last().copied().unwrap_or(-1);
        let has = |n: i64| n < 0 || usize::try_from(n) == Ok(n_columns);
        if !is_float(&input) || input.shape.len() != 2 || !has(wanted) {
            let (datatype, shape) = (&input.datatype, &input.shape);
            let reason = format!(
                "{}: input `{}` takes {datatype} of shape {shape:?}; a table of {n_columns} columns \
                needs FP32 or FP64 of shape [-1, {n_columns}]",
                flags.rows.display(),
                input.name
            );
            return Err(Failure::usage(anyhow::Error::msg(reason)));
        }
        Ok(Self { server, name, version, input, output })
    }

    /// The model's outputs for rows.
    async fn answer(&self, rows: &[Vec<f32>]) -> Result<Vec<Vec<f64>>, Failure> {
        let mut client = GrpcInferenceServiceClient::new(self.server.channel());
        let mut all = Vec::with_capacity(rows.len());
        for some in rows.chunks(BATCH) {
            let answered = client.model_infer(self.request(some)).await;
            let answered = answered.map_err(|status| self.server.refused(&status))?.into_inner();
            let outputs = self.outputs(&answered, some.len());
            let context = || format!("model `{}`", self.name);
            all.extend(outputs.with_context(context).map_err(Failure::internal)?);
        }
        Ok(all)
    }

    fn request(&self, rows: &[Vec<f32>]) -> ModelInferRequest {
        let values = rows.iter().flatten().copied();
        let contents = if self.input.datatype == "FP64" {
            InferTensorContents {
                fp64_contents: values.map(f64::from).collect(),
                ..Default::default()
            }
        } else {
            InferTensorContents { fp32_contents: values.collect(), ..Default::default() }
        };
        let shape = [rows.len(), rows.first().map_or(0, Vec::len)].map(|n| n as i64).to_vec();
        let (name, datatype) = (self.input.name.clone(), self.input.datatype.clone());
        ModelInferRequest {
            model_name: self.name.clone(),
            model_version: self.version.clone(),
            inputs: vec![InferInputTensor { name, datatype, shape, contents: Some(contents) }],
            outputs: vec![InferRequestedOutputTensor { name: self.output.clone() }],
            ..Default::default()
        }
    }

    /// The chosen output as a row of numbers for each row asked about.
    fn outputs(
        &self,
        answered: &ModelInferResponse,
        n_rows: usize,
    ) -> anyhow::Result<Vec<Vec<f64>>> {
        let at = answered.outputs.iter().position(|output| output.name == self.output);
        let at = at.with_context(|| format!("it left out output `{}`", self.output))?;
        let output = &answered.outputs[at];
        let contents = output.contents.clone().unwrap_or_default();
        let raw = answered.raw_output_contents.get(at);
        let values: Vec<f64> = match (&*output.datatype, raw) {
            ("FP32", Some(raw)) => read(raw, |bytes| f64::from(f32::from_le_bytes(bytes))),
            ("FP64", Some(raw)) => read(raw, f64::from_le_bytes),
            ("FP32", None) => contents.fp32_contents.into_iter().map(f64::from).collect(),
            ("FP64", None) => contents.fp64_contents,
            (other, _) => bail!("output `{}` is {other}, neither FP32 nor FP64", self.output),
        };
        let n = values.len();
        ensure!(n > 0 && n.is_multiple_of(n_rows), "it answered {n_rows} rows with {n} numbers");
        ensure!(values.iter().all(|value| value.is_finite()), "an answer is not finite");
        Ok(values.chunks(n / n_rows).map(<[f64]>::to_vec).collect())
    }

    fn names(&self, n_outputs: usize) -> Vec<String> {
        let name = &self.output;
        if n_outputs == 1 {
            return vec![name.clone()];
        }
        (0..n_outputs).map(|at| format!("{name}[{at}]")).collect()
    }
}

/// The tensor of a name, or else the first that will do.
fn chosen(
    kind: &str,
    tensors: &[TensorMetadata],
    name: Option<&str>,
    will_do: impl Fn(&TensorMetadata) -> bool,
) -> anyhow::Result<TensorMetadata> {
    let names: Vec<&str> = tensors.iter().map(|tensor| &*tensor.name).collect();
    let found = match name {
        Some(name) => tensors.iter().find(|tensor| tensor.name == name),
        None => tensors.iter().find(|tensor| will_do(tensor)),
    };
    found.cloned().with_context(|| format!("--{kind}: choose one of {}", names.join(", ")))
}

/// Little-endian numbers of `N` bytes.
fn read<const N: usize>(raw: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    let (chunks, _) = raw.as_chunks::<N>();
    chunks.iter().map(|chunk| number(*chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_a_player_are_found_and_all_others_stand_alone() {
        let columns = ["price", "red", "blue"].map(str::to_owned);
        let found = groups(&["colour=red,blue".to_owned()], &columns).expect("players");
        let told: Vec<(&str, &[usize])> =
            found.iter().map(|group| (&*group.name, &group.columns[..])).collect();
        assert_eq!(told, [("colour", &[1, 2][..]), ("price", &[0][..])]);
        for wrong in ["colour", "colour=green"] {
            let error = groups(&[wrong.to_owned()], &columns).expect_err(wrong).to_string();
            assert!(error.contains("--player"), "{error}");
        }
    }

    #[test]
    fn raw_numbers_are_little_endian() {
        let raw: Vec<u8> = [1.5_f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(read(&raw, |bytes| f64::from(f32::from_le_bytes(bytes))), [1.5, -2.0]);
    }
}
