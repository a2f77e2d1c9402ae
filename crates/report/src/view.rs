//! What the report shows, as plain data for the template and its charts.

use serde::Serialize;

/// The whole report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct View {
    /// Name of the data set.
    pub dataset: String,
    /// Facts in the header: label and value.
    pub facts: Vec<(String, String)>,
    /// What a planner wants to know first.
    pub overview: Overview,
    /// What to do, by action, the most urgent first.
    pub plans: Vec<PlanGroup>,
    /// How often our model is best, a sentence a metric.
    pub findings: Vec<String>,
    /// How far the labels that stages are scored against can be relied on.
    pub labels: Option<String>,
    /// The score table by task.
    pub score_groups: Vec<ScoreGroup>,
    /// Names of the models, ours first: the columns of every score table.
    pub models: Vec<String>,
    /// Surrogates of all forecasts; none where nothing says them.
    pub surrogates: Option<SurrogatesView>,
    /// How clean the raw data is.
    pub quality: Quality,
    /// Digests of all artifacts: name and content digest.
    pub artifacts: Vec<(String, String)>,
    /// What the scripts draw.
    #[serde(skip)]
    pub charts: Charts,
}

/// Where the products stand and what they need, in plain words.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Overview {
    /// Last day of the data.
    pub as_of: String,
    /// Products (or series, where products are sold in several places) of the data.
    pub n_all: usize,
    /// `products` or `series`.
    pub things: &'static str,
    /// Those without a sale in the last 13 weeks.
    pub n_asleep: usize,
    /// The others by their likeliest stage.
    pub stages: Vec<StageCount>,
    /// Sentences, the most important first.
    pub sentences: Vec<String>,
}

/// How many stand in one stage.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StageCount {
    /// Name of the stage.
    pub stage: &'static str,
    /// How many.
    pub n: usize,
    /// Share of all that stand in any stage, in percent.
    pub percent: f64,
}

/// All plans with one action.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PlanGroup {
    /// As the plan has it.
    pub action: String,
    /// As a heading.
    pub heading: String,
    /// How many there are.
    pub n: usize,
    /// Those that the report shows.
    pub rows: Vec<PlanView>,
}

/// One line of a plan.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PlanView {
    /// Series as text.
    pub series: String,
    /// Its title, empty where unknown.
    pub title: String,
    /// Units to order.
    pub order: String,
    /// Units expected until the next order arrives.
    pub expected: String,
    /// Why, as a sentence.
    pub reason: String,
    /// Its position among the charted products.
    pub place: Option<usize>,
}

/// All that the scripts draw; one JSON in the page.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Charts {
    /// `day`, `week` or `month`.
    pub period: &'static str,
    /// First day of every period, from the panel's first to the last forecast one.
    pub days: Vec<String>,
    /// Position in `days` of the last period that models were trained on.
    pub cut: usize,
    /// Weeks of the outlooks.
    pub outlook_weeks: [u32; 3],
    /// The charted products.
    pub products: Vec<ProductView>,
    /// Reliability of our turn probabilities.
    pub reliability: Vec<Reliability>,
    /// How often units stayed below our quantiles: level, share below, share at most.
    pub coverage: Vec<[f64; 3]>,
    /// The dense baseline: series, units sold, units predicted.
    pub scatter: Vec<(String, f32, f32)>,
    /// What moves forecasts in general; none where nothing says it.
    pub importance: Option<ImportanceView>,
    /// How weeks and channels move the network of a few products; none where nothing says it.
    pub heat: Option<HeatView>,
}

/// Maps of weeks and channels.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct HeatView {
    /// What is explained, for people.
    pub explains: String,
    /// One a product and output.
    pub maps: Vec<Heat>,
    /// Where attention goes, one a product.
    pub rollouts: Vec<RolloutView>,
}

/// Attention by period; positions are those of [`Charts::days`].
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RolloutView {
    /// Series as text.
    pub series: String,
    /// Whose attention.
    pub of: String,
    /// Position of its first period.
    pub start: usize,
    /// Share of each period.
    pub context: Vec<f32>,
    /// Share of the derived numbers.
    pub statics: f32,
    /// Share of what is known of the horizon.
    pub horizon: f32,
}

/// One map; positions are those of [`Charts::days`].
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Heat {
    /// Series as text.
    pub series: String,
    /// What is explained.
    pub output: String,
    /// Position of its first period.
    pub start: usize,
    /// Answer with the context of the background.
    pub base: f64,
    /// The answer.
    pub answer: f64,
    /// How far the map's sum is from the difference of the two.
    pub gap: f64,
    /// Names of the channels.
    pub channels: Vec<String>,
    /// Shape `[channels][periods]`.
    pub values: Vec<Vec<f32>>,
}

/// What moves forecasts in general.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ImportanceView {
    /// What the values are, for people.
    pub quantity: String,
    /// Series explained.
    pub n_series: usize,
    /// Least series of an interval.
    pub interval_series_min: usize,
    /// Names of the outputs: each has pictures of its own.
    pub outputs: Vec<String>,
    /// Mean sizes, of all series first.
    pub groups: Vec<SwarmGroup>,
    /// Names of the series with dots.
    pub series: Vec<String>,
    /// The dots of each player, by output. Shape `[outputs][players]`.
    pub swarms: Vec<Vec<Swarm>>,
    /// Mean sizes of whole families by origin, the earliest first.
    pub moments: Vec<MomentView>,
}

/// Mean sizes as of one origin.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct MomentView {
    /// Position of the origin in [`Charts::days`].
    pub origin: usize,
    /// Series explained.
    pub n: usize,
    /// By output, the largest first. Shape `[outputs][families]`.
    pub bars: Vec<Vec<Bar>>,
}

/// Mean sizes over the series of one group.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SwarmGroup {
    /// Kind and name; empty of all series.
    pub label: String,
    /// Its series.
    pub n: usize,
    /// By output, the largest first. Shape `[outputs][players]`.
    pub bars: Vec<Vec<Bar>>,
}

/// How much one player moves one output.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Bar {
    /// Its name.
    pub player: String,
    /// Mean size of its values.
    pub size: f32,
    /// Ends of the 95 % interval.
    pub interval: Option<[f32; 2]>,
}

/// The values of one player for one output.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Swarm {
    /// Its name.
    pub player: String,
    /// Position of the series, and the value.
    pub dots: Vec<(usize, f32)>,
}

/// One charted product. Positions are those of [`Charts::days`].
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct ProductView {
    /// Series as text.
    pub series: String,
    /// Its title, empty where unknown.
    pub title: String,
    /// Its category path.
    pub category: String,
    /// Position of the first period of `units`.
    pub start: usize,
    /// Units sold, null where not observed. Shape `[periods]`.
    pub units: Vec<Option<f32>>,
    /// Position of the first forecast period.
    pub ahead: usize,
    /// Expected units. Shape `[horizon]`.
    pub mean: Vec<f32>,
    /// Quantiles .05, .2, .5, .8, .95 by period. Shape `[5][horizon]`.
    pub fan: Vec<Vec<f32>>,
    /// Positions of the origins of which turns and stages are shown.
    pub origins: Vec<usize>,
    /// P(halved), P(doubled), P(silent) by each outlook. Shape `[3][3][origins]`.
    pub turns: Vec<Vec<Vec<Option<f32>>>>,
    /// Stage probabilities at the origin. Shape `[4][origins]`.
    pub stages: Vec<Vec<Option<f32>>>,
    /// What the forecast rests on, one an output.
    pub waterfalls: Vec<Waterfall>,
    /// What would turn the forecast, one a target.
    pub turners: Vec<Turner>,
    /// LIME weights, one an output: other numbers than those of the waterfalls.
    pub limes: Vec<LimeView>,
    /// The likeliest stage at the last origin, empty where unknown.
    pub stage: &'static str,
    /// The plan's action, empty where there is none.
    pub action: String,
    /// Why, in a sentence.
    pub reason: String,
    /// Warnings about the forecast, for people.
    pub cautions: Vec<&'static str>,
}

/// One attribution.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Waterfall {
    /// What is explained.
    pub output: String,
    /// Output with every player absent.
    pub base: f64,
    /// The served answer.
    pub served: f64,
    /// Players, values and standard errors, the largest first.
    pub players: Vec<(String, f64, f64)>,
    /// The same in a few sentences, and who works together; empty where nobody wrote them.
    pub words: String,
}

/// One counterfactual.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Turner {
    /// What was to change.
    pub target: String,
    /// Whether it does within the bounds.
    pub is_reached: bool,
    /// What would change it, and to what.
    pub sentence: String,
}

/// All scores of one task.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ScoreGroup {
    /// Task, for people.
    pub task: String,
    /// One a metric and horizon.
    pub rows: Vec<ScoreRow>,
}

/// One metric at one horizon for all models.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ScoreRow {
    /// Metric, for people.
    pub metric: String,
    /// Horizon, for people.
    pub horizon: String,
    /// Whether the data can carry this score.
    pub identifiable: bool,
    /// Rows scored.
    pub n: u64,
    /// One a model; null where the model gives no such forecast.
    pub cells: Vec<Option<ScoreCell>>,
}

/// One score.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ScoreCell {
    /// The score.
    pub value: f64,
    /// Its 95 % interval.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// The best of its row.
    pub is_best: bool,
}

/// Predicted against observed frequency of one turn.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Reliability {
    /// Which turn.
    pub task: String,
    /// By how many weeks.
    pub horizon: u32,
    /// Mean predicted probability, observed frequency and rows of each bin.
    pub bins: Vec<(f64, f64, u64)>,
    /// Calibration error beyond what chance explains.
    pub excess: f64,
}

/// How clean the raw data is.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Quality {
    /// Label and value.
    pub facts: Vec<(String, String)>,
    /// Sentences about what looks odd.
    pub remarks: Vec<String>,
    /// Rows refused, by reason: reason, rows, units, an example.
    pub refused: Vec<(String, String, String, String)>,
    /// Files read: name, table, rows, kept, refused, note.
    pub files: Vec<[String; 6]>,
    /// Periods that sold far more than the series does: series, day, units, usual units.
    pub spikes: Vec<[String; 4]>,
}

/// Surrogates of all forecasts.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SurrogatesView {
    /// Fidelity below which a surrogate is not to be trusted.
    pub fidelity_min: f64,
    /// Series that they were fitted to.
    pub n_fitted: usize,
    /// Series that fidelity is told on.
    pub n_held_out: usize,
    /// One an output.
    pub outputs: Vec<SurrogateView>,
}

/// Two surrogates of one output.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SurrogateView {
    /// What they say.
    pub output: String,
    /// R² of the tree, for people.
    pub tree_fidelity: String,
    /// Whether that is too low.
    pub tree_is_low: bool,
    /// Its leaves as sentences.
    pub rules: Vec<String>,
    /// R² of the linear model, for people.
    pub linear_fidelity: String,
    /// Whether that is too low.
    pub linear_is_low: bool,
    /// Inputs, and how much the output rises with a standard deviation of them.
    pub slopes: Vec<(String, String)>,
}

/// LIME weights of one output.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct LimeView {
    /// What is explained.
    pub output: String,
    /// R², for people.
    pub fidelity: String,
    /// Whether that is too low.
    pub is_low: bool,
    /// Players and weights, the largest first.
    pub players: Vec<(String, f32)>,
}
