//! `lifecast attribute`: why a model of somebody else answers a row of numbers as it does.
//!
//! The model stands behind the Open Inference Protocol, so any server of it will do: Triton, `KServe`,
//! `MLServer`, `OpenVINO`. It is asked for many rows at once; what is told is [`explainer::rows`]' matter.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use explainer::estimator::Method;
use explainer::rows::{Group, RowError, RowExplanation, RowQuestion};
use lifecycle::{ErrorKind, Invalid};
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
    let explanation = explanation.map_err(unexplained)?;
    let outputs = model.names(explanation.answers.len());
    let AttributeFlags { model, server, row, .. } = flags;
    Ok(Attributed { model, server, row, outputs, explanation })
}

/// Why a row was not explained, told by flags.
fn unexplained(error: RowError<Failure>) -> Failure {
    use explainer::Error;
    match error {
        RowError::Question(Error::Config(Invalid { field, reason })) => {
            let flag = match &*field {
                "n_background" => "background",
                "players" => "player",
                "evaluations_max" => "evaluations-max",
                other => other,
            };
            Failure::usage(anyhow::anyhow!("--{flag}: {reason}"))
        }
        RowError::Question(Error::Budget { given, n_players, least }) => {
            let reason = format!("{given}: {n_players} players need at least {least}");
            Failure::usage(anyhow::anyhow!("--evaluations-max {reason}"))
        }
        RowError::Question(error) => error.into(),
        RowError::Model(failure) => failure,
        other => unfit(anyhow::Error::msg(other.to_string())),
    }
}

/// An answer that nothing can be made of.
fn unfit(error: anyhow::Error) -> Failure {
    Failure { kind: ErrorKind::Data, error }
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
        if *relative_error > 0.0 {
            text.push_str("± is half the width of a 95 % interval\n");
        }
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
        ensure!(!name.is_empty(), "--player `{given}` has no name");
        let members = members.split(',').map(position).collect::<anyhow::Result<_>>()?;
        groups.push(Group { name: name.to_owned(), columns: members });
    }
    for (at, column) in columns.iter().enumerate() {
        if !groups.iter().any(|group| group.columns.contains(&at)) {
            groups.push(Group { name: column.clone(), columns: vec![at] });
        }
    }
    let mut names = BTreeSet::new();
    for Group { name, .. } in &groups {
        ensure!(names.insert(name), "--player: two players would be named `{name}`");
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
    async fn answer(&self, rows: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, Failure> {
        let mut client = GrpcInferenceServiceClient::new(self.server.channel());
        let mut all = Vec::with_capacity(rows.len());
        for some in rows.chunks(BATCH) {
            let answered = client.model_infer(self.request(some)).await;
            let answered = answered.map_err(|status| self.server.refused(&status))?.into_inner();
            let outputs = self.outputs(&answered, some.len());
            let context = || format!("model `{}`", self.name);
            all.extend(outputs.with_context(context).map_err(unfit)?);
        }
        Ok(all)
    }

    fn request(&self, rows: &[Vec<f64>]) -> ModelInferRequest {
        let values = rows.iter().flatten().copied();
        let contents = if self.input.datatype == "FP64" {
            InferTensorContents { fp64_contents: values.collect(), ..Default::default() }
        } else {
            let values = values.map(|value| value as f32).collect();
            InferTensorContents { fp32_contents: values, ..Default::default() }
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
        let n_outputs = width(&output.shape, n_rows).with_context(|| {
            let (name, shape) = (&self.output, &output.shape);
            format!(
                "output `{name}` has shape {shape:?} for {n_rows} rows, neither [{n_rows}] nor \
                [{n_rows}, outputs]"
            )
        })?;
        let n = values.len();
        ensure!(
            n_rows.checked_mul(n_outputs) == Some(n),
            "it has {n} numbers for shape {:?}",
            output.shape
        );
        ensure!(values.iter().all(|value| value.is_finite()), "an answer is not finite");
        Ok(values.chunks(n_outputs).map(<[f64]>::to_vec).collect())
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

/// Outputs of a row, by the shape of an answer: at least one.
fn width(shape: &[i64], n_rows: usize) -> Option<usize> {
    let (n, width) = match *shape {
        [n] => (n, 1),
        [n, width] => (n, usize::try_from(width).ok()?),
        _ => return None,
    };
    (usize::try_from(n) == Ok(n_rows) && width > 0).then_some(width)
}

/// Little-endian numbers of `N` bytes.
fn read<const N: usize>(raw: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    let (chunks, _) = raw.as_chunks::<N>();
    chunks.iter().map(|chunk| number(*chunk)).collect()
}

#[cfg(test)]
mod tests {
    use wire::inference::model_infer_response::InferOutputTensor;

    use super::*;

    #[test]
    fn columns_of_a_player_are_found_and_all_others_stand_alone() {
        let columns = ["price", "red", "blue"].map(str::to_owned);
        let found = groups(&["colour=red,blue".to_owned()], &columns).expect("players");
        let told: Vec<(&str, &[usize])> =
            found.iter().map(|group| (&*group.name, &group.columns[..])).collect();
        assert_eq!(told, [("colour", &[1, 2][..]), ("price", &[0][..])]);
        for wrong in ["colour", "colour=green", "=red"] {
            let error = groups(&[wrong.to_owned()], &columns).expect_err(wrong).to_string();
            assert!(error.contains("--player"), "{error}");
        }
    }

    #[test]
    fn two_players_of_one_name_are_refused() {
        let columns = ["price", "red", "blue"].map(str::to_owned);
        for wrong in [&["x=red", "x=blue"][..], &["price=red,blue"]] {
            let named: Vec<String> = wrong.iter().copied().map(str::to_owned).collect();
            let error = groups(&named, &columns).expect_err("one name twice").to_string();
            assert!(error.contains("two players would be named"), "{error}");
        }
        let both = ["red=red".to_owned(), "price=price,blue".to_owned()];
        assert_eq!(groups(&both, &columns).expect("two names").len(), 2);
    }

    #[test]
    fn what_is_wrong_is_told_by_its_flag() {
        let told = |error| {
            let Failure { kind, error } = unexplained(RowError::Question(error));
            assert_eq!(kind, ErrorKind::Usage);
            error.to_string()
        };
        let config = explainer::Config { n_background: 99, ..Default::default() };
        let invalid = config.validate().expect_err("99 rows");
        assert_eq!(told(invalid.into()), "--background: 99 must be between 1 and 32");
        let players = Invalid::new("players", "17 are not 1 to 16: group columns");
        assert_eq!(told(players.into()), "--player: 17 are not 1 to 16: group columns");
        let budget = explainer::Error::Budget { given: 3, n_players: 7, least: 57 };
        assert_eq!(told(budget), "--evaluations-max 3: 7 players need at least 57");
    }

    /// A model of two columns that is asked by nobody.
    fn model(datatype: &str) -> Model {
        let tensor = TensorMetadata {
            name: "x".to_owned(),
            datatype: datatype.to_owned(),
            shape: vec![-1, 2],
        };
        Model {
            server: Remote::at("http://127.0.0.1:1", &ClientTlsFlags::default())
                .expect("an address"),
            name: "turns".to_owned(),
            version: String::new(),
            input: tensor,
            output: "y".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_model_of_64_bits_is_asked_in_64_bits() {
        let rows = [vec![1_767_225_600.0, 0.5], vec![1_767_225_601.0, 0.5]];
        let contents = |datatype: &str| {
            let request = model(datatype).request(&rows);
            let input = &request.inputs[0];
            assert_eq!((&*input.datatype, &input.shape[..]), (datatype, &[2, 2][..]));
            input.contents.clone().expect("numbers")
        };
        assert_eq!(contents("FP64").fp64_contents, rows.concat());
        let single = contents("FP32").fp32_contents;
        assert_eq!((single.len(), single[1]), (4, 0.5));
    }

    #[tokio::test]
    async fn answers_are_read_by_their_shape() {
        let model = model("FP32");
        let read = |shape: &[i64], n: usize| {
            let output = InferOutputTensor {
                name: "y".to_owned(),
                datatype: "FP64".to_owned(),
                shape: shape.to_vec(),
                ..Default::default()
            };
            let raw = (0..n).flat_map(|at| (at as f64).to_le_bytes()).collect();
            let answered = ModelInferResponse {
                outputs: vec![output],
                raw_output_contents: vec![raw],
                ..Default::default()
            };
            model.outputs(&answered, 2)
        };
        assert_eq!(read(&[2], 2).expect("one a row"), [[0.0], [1.0]]);
        assert_eq!(read(&[2, 2], 4).expect("two a row"), [[0.0, 1.0], [2.0, 3.0]]);
        for (shape, n) in [(&[4][..], 4), (&[1, 4], 4), (&[2, 0], 0), (&[2, 1, 2], 4), (&[], 2)] {
            let error = read(shape, n).expect_err("another shape").to_string();
            assert!(error.contains("output `y` has shape"), "{error}");
        }
        read(&[2, 2], 2).expect_err("numbers are missing");
    }

    #[test]
    fn raw_numbers_are_little_endian() {
        let raw: Vec<u8> = [1.5_f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(read(&raw, |bytes| f64::from(f32::from_le_bytes(bytes))), [1.5, -2.0]);
    }
}
