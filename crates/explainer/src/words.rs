//! An explanation in three sentences that a planner understands, in English and in Chinese: what is
//! forecast and from where it starts, what moves it most, and how sure that is. A fourth says which two
//! groups of inputs work together most, where that is more than its doubt.

use lifecycle::Attribution;
use serde::{Deserialize, Serialize};

use crate::estimator::twos;
use crate::explanation::Explanation;

/// Players that are named.
const NAMED_MAX: usize = 3;

/// Three or four sentences in each language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// Name of the output.
    pub output: String,
    /// In English.
    pub en: Vec<String>,
    /// In Chinese, simplified.
    pub zh: Vec<String>,
}

/// The sentences of each output.
pub fn words(explanation: &Explanation) -> Vec<Words> {
    let outputs = explanation.outputs.iter().zip(&explanation.attributions);
    let outputs = outputs.zip(&explanation.served);
    let words =
        |(place, ((output, attribution), served)): (usize, ((&String, &Attribution), &f64))| {
            let told = Told {
                together: Together::of(explanation, place),
                ..Told::new(explanation, output, (attribution, *served))
            };
            Words { output: output.clone(), en: told.english(), zh: told.chinese() }
        };
    outputs.enumerate().map(words).collect()
}

/// What the sentences are made of.
struct Told<'a> {
    explanation: &'a Explanation,
    output: &'a str,
    attribution: &'a Attribution,
    served: f64,
    /// Players by the size of their values, without those whose value is told as 0.
    ranked: Vec<usize>,
    together: Option<Together>,
}

/// Two players who add more together, or less, than each adds alone.
struct Together {
    one: usize,
    other: usize,
    value: f64,
    standard_error: f64,
}

impl Together {
    /// The two who add most, of those whose index is larger than its doubt and is not told as 0.
    fn of(explanation: &Explanation, output: usize) -> Option<Self> {
        let found = &explanation.interactions;
        let values = found.values.get(output)?.iter().zip(found.standard_errors.get(output)?);
        let twos = twos(explanation.players.len()).zip(values);
        let all = twos.map(|((one, other), (value, error))| Self {
            one,
            other,
            value: *value,
            standard_error: *error,
        });
        let is_told = |of: &Self| {
            of.value.abs() > explanation.quantile * of.standard_error
                && !is_zero(&plain(&explanation.outputs[output], of.value))
        };
        // The first of equals.
        all.filter(is_told)
            .reduce(|most, of| if of.value.abs() > most.value.abs() { of } else { most })
    }
}

impl<'a> Told<'a> {
    fn new(
        explanation: &'a Explanation,
        output: &'a str,
        (attribution, served): (&'a Attribution, f64),
    ) -> Self {
        let size = |player: usize| attribution.values[player].abs();
        let is_told = |player: &usize| !is_zero(&plain(output, attribution.values[*player]));
        let mut ranked: Vec<usize> = (0..attribution.values.len()).filter(is_told).collect();
        ranked.sort_by(|a, b| size(*b).total_cmp(&size(*a)).then(a.cmp(b)));
        ranked.truncate(NAMED_MAX);
        Self { explanation, output, attribution, served, ranked, together: None }
    }

    fn is_probability(&self) -> bool {
        self.output.starts_with("P(")
    }

    /// A value: percent of probabilities, units else.
    fn number(&self, value: f64) -> String {
        number(self.output, value)
    }

    /// A change: percentage points of probabilities, units else.
    fn change(&self, value: f64, points: &str) -> String {
        if self.is_probability() {
            format!("{:+.1} {points}", 100.0 * value)
        } else if value < 0.0 {
            round(value)
        } else {
            format!("+{}", round(value))
        }
    }

    /// A change with half the width of its 95 % interval, where it has one.
    fn doubtful(&self, value: f64, standard_error: f64, points: &str) -> String {
        let change = self.change(value, points);
        let doubt = self.explanation.quantile * standard_error;
        if doubt > 0.0 { format!("{change} ± {}", plain(self.output, doubt)) } else { change }
    }

    /// A player's value with its doubt.
    fn of_player(&self, player: usize, points: &str) -> String {
        let Attribution { values, standard_errors, .. } = self.attribution;
        self.doubtful(values[player], standard_errors[player], points)
    }

    /// What stood in, counted: products, or series where there are places.
    fn background(&self) -> (usize, bool) {
        (self.explanation.background.len(), self.explanation.series.location.is_some())
    }

    fn english(&self) -> Vec<String> {
        let Explanation { series, players, .. } = self.explanation;
        let mut stand_in = match self.background() {
            (1, false) => "1 real product".to_owned(),
            (n, false) => format!("{n} real products"),
            (n, true) => format!("{n} real series"),
        };
        if self.explanation.is_conditional {
            stand_in += " (counted by how alike they are to what is kept)";
        }
        let driver = |player: &usize| {
            format!("{} ({})", players[*player], self.of_player(*player, "points"))
        };
        let drivers: Vec<String> = self.ranked.iter().map(driver).collect();
        let moved = match drivers.as_slice() {
            [] => "No group of inputs moves it from there.".to_owned(),
            [only] => format!("Only {only} moves it from there."),
            [most, rest @ ..] => {
                format!("Most of the difference is due to {most}, then to {}.", rest.join(" and "))
            }
        };
        let sure = if self.is_exact() {
            "These shares are exact for the model".to_owned()
        } else {
            "Each share lies within ± in 95 of 100 cases".to_owned()
        };
        let together = self.together.as_ref().map(|of| {
            let change = self.doubtful(of.value, of.standard_error, "points");
            let (one, other) = (&players[of.one], &players[of.other]);
            format!("Together, “{one}” and “{other}” add {change} beyond what each adds alone.")
        });
        let mut sentences = vec![
            format!(
                "For {series} the model answers {} for “{}”, where {stand_in}, brought to its level, would have {}.",
                self.number(self.served),
                self.output,
                self.number(self.attribution.base_value)
            ),
            moved,
        ];
        sentences.extend(together);
        sentences.push(format!(
            "{sure}; they say what moves the forecast, not what would happen if it were changed."
        ));
        sentences
    }

    fn chinese(&self) -> Vec<String> {
        let Explanation { series, players, .. } = self.explanation;
        let mut stand_in = match self.background() {
            (n, false) => format!("{n}个真实产品"),
            (n, true) => format!("{n}条真实序列"),
        };
        if self.explanation.is_conditional {
            stand_in += "（按与所保留信息的相似程度加权）";
        }
        let driver = |player: &usize| {
            let change = self.of_player(*player, "个百分点");
            format!("{}（{change}）", in_chinese(&players[*player]))
        };
        let drivers: Vec<String> = self.ranked.iter().map(driver).collect();
        let moved = match drivers.as_slice() {
            [] => "没有任何一组输入使其偏离该值。".to_owned(),
            [only] => format!("只有{only}使其偏离该值。"),
            [most, rest @ ..] => format!("差异主要来自{most}，其次是{}。", rest.join("和")),
        };
        let sure = if self.is_exact() {
            "对该模型而言，以上贡献是精确值"
        } else {
            "每项贡献有95%的把握落在±范围内"
        };
        let together = self.together.as_ref().map(|of| {
            let change = self.doubtful(of.value, of.standard_error, "个百分点");
            let [one, other] = [of.one, of.other].map(|player| in_chinese(&players[player]));
            format!("“{one}”与“{other}”共同作用，在各自的贡献之外再带来{change}。")
        });
        let mut sentences = vec![
            format!(
                "对于{series}，模型对“{}”的预测是{}，而{stand_in}折算到它的水平后是{}。",
                output_in_chinese(self.output),
                self.number(self.served),
                self.number(self.attribution.base_value)
            ),
            moved,
        ];
        sentences.extend(together);
        sentences.push(format!("{sure}；它们说明是什么影响了预测，而不是改变它们之后会发生什么。"));
        sentences
    }

    fn is_exact(&self) -> bool {
        self.attribution.standard_errors.iter().all(|error| *error == 0.0)
    }
}

/// A value of an output: percent of probabilities, units else.
pub(crate) fn number(output: &str, value: f64) -> String {
    let unit = if output.starts_with("P(") { " %" } else { "" };
    format!("{}{unit}", plain(output, value))
}

/// The same without a unit.
fn plain(output: &str, value: f64) -> String {
    if output.starts_with("P(") { fixed(100.0 * value, 1) } else { round(value) }
}

/// Three digits of small numbers, no fraction of large ones.
pub(crate) fn round(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || size == 0.0 => fixed(value, 0),
        size if size >= 1.0 => fixed(value, 1),
        _ => fixed(value, 3),
    }
}

/// A number with so many digits behind the point; zero has no sign.
pub(crate) fn fixed(value: f64, n_digits: usize) -> String {
    let text = format!("{value:.n_digits$}");
    match text.strip_prefix('-') {
        Some(zero) if is_zero(zero) => zero.to_owned(),
        _ => text,
    }
}

fn is_zero(text: &str) -> bool {
    text.chars().all(|digit| matches!(digit, '0' | '.'))
}

/// A player's name; what is unknown stays as it is.
fn in_chinese(player: &str) -> String {
    let (name, owen) =
        player.strip_suffix(" (Owen)").map_or((player, ""), |name| (name, "（欧文值）"));
    let families = [
        ("sales", "销量"),
        ("price", "价格"),
        ("promotion", "促销"),
        ("stock", "库存"),
        ("views and carts", "浏览和加购"),
        ("category", "品类"),
        ("brand", "品牌"),
    ];
    let pieces = [
        ("", ""),
        (", last 13 weeks", "（最近13周）"),
        (", weeks 14 to 52", "（第14至52周前）"),
        (" before", "（更早）"),
        (" level", "水平"),
    ];
    for (family, family_zh) in families {
        let piece = name.strip_prefix(family);
        let piece = piece.and_then(|rest| pieces.iter().find(|(piece, _)| *piece == rest));
        if let Some((_, piece_zh)) = piece {
            return format!("{family_zh}{piece_zh}{owen}");
        }
    }
    player.to_owned()
}

/// An output's name; what is unknown stays as it is.
pub(crate) fn output_in_chinese(output: &str) -> String {
    if let Some(horizon) = output.strip_prefix("units, periods 1 to ") {
        return format!("未来{horizon}期的销量");
    }
    let inside = output.strip_prefix("P(").and_then(|rest| rest.strip_suffix(')'));
    let turns = [("halved", "减半"), ("doubled", "翻倍"), ("silent", "无销售")];
    let turn = inside.and_then(|inside| inside.split_once(" by ")).and_then(|(turn, weeks)| {
        let (_, zh) = turns.iter().find(|(name, _)| *name == turn)?;
        Some(format!("{}周内{zh}的概率", weeks.strip_suffix(" weeks")?))
    });
    match (turn, inside) {
        (Some(turn), _) => turn,
        (None, Some("decline now")) => "目前处于衰退期的概率".to_owned(),
        _ => output.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use lifecycle::{Digest, EstimateEnd, InteractionSource, Period, Series};

    use super::*;
    use crate::estimator::{Interactions, Method};
    use crate::explained::{Given, output_names};
    use crate::explanation::Quantity;
    use crate::players::Family;

    fn explanation(standard_error: f64) -> Explanation {
        Explanation {
            series: Series::of("mug"),
            origin: Period(0),
            players: ["sales, last 13 weeks", "price level", "category"]
                .map(str::to_owned)
                .to_vec(),
            outputs: vec!["units, periods 1 to 13".to_owned(), "P(halved by 13 weeks)".to_owned()],
            attributions: vec![
                Attribution {
                    base_value: 150.0,
                    values: vec![-20.0, 82.25, 0.0],
                    standard_errors: vec![standard_error; 3],
                },
                Attribution {
                    base_value: 0.2,
                    values: vec![0.1, 0.0, 0.0],
                    standard_errors: vec![0.0; 3],
                },
            ],
            interactions: Interactions {
                source: InteractionSource::Exact,
                values: vec![vec![0.0; 3]; 2],
                standard_errors: vec![vec![0.0; 3]; 2],
                untold: vec![0.0; 2],
            },
            served: vec![212.25, 0.3],
            background: vec!["lamp".to_owned(), "plate".to_owned()],
            background_weights: vec![0.5; 2],
            is_conditional: false,
            background_digest: Digest::of([]),
            weights: Digest::of([]),
            quantity: Quantity::Shapley,
            method: Method::Gaussian,
            quantile: 2.0,
            n_evaluations: 1,
            relative_error: 0.04,
            end: EstimateEnd::Tolerance,
            words: Vec::new(),
        }
    }

    #[test]
    fn three_sentences_say_what_why_and_how_sure() {
        let told = words(&explanation(1.5));
        let text: Vec<String> =
            told.iter().flat_map(|words| words.en.iter().chain(&words.zh)).cloned().collect();
        expect![[r"
            For mug the model answers 212 for “units, periods 1 to 13”, where 2 real products, brought to its level, would have 150.
            Most of the difference is due to price level (+82.2 ± 3.0), then to sales, last 13 weeks (-20.0 ± 3.0).
            Each share lies within ± in 95 of 100 cases; they say what moves the forecast, not what would happen if it were changed.
            对于mug，模型对“未来13期的销量”的预测是212，而2个真实产品折算到它的水平后是150。
            差异主要来自价格水平（+82.2 ± 3.0），其次是销量（最近13周）（-20.0 ± 3.0）。
            每项贡献有95%的把握落在±范围内；它们说明是什么影响了预测，而不是改变它们之后会发生什么。
            For mug the model answers 30.0 % for “P(halved by 13 weeks)”, where 2 real products, brought to its level, would have 20.0 %.
            Only sales, last 13 weeks (+10.0 points) moves it from there.
            These shares are exact for the model; they say what moves the forecast, not what would happen if it were changed.
            对于mug，模型对“13周内减半的概率”的预测是30.0 %，而2个真实产品折算到它的水平后是20.0 %。
            只有销量（最近13周）（+10.0 个百分点）使其偏离该值。
            对该模型而言，以上贡献是精确值；它们说明是什么影响了预测，而不是改变它们之后会发生什么。"]]
        .assert_eq(&text.join("\n"));
    }

    #[test]
    fn what_rounds_to_nothing_is_no_driver() {
        let mut explained = explanation(0.0);
        explained.attributions[1].values = vec![0.1, -0.0004, 0.0];
        explained.attributions[1].base_value = -0.0001;
        explained.background.truncate(1);
        let told = &words(&explained)[1];
        assert!(
            told.en[0].ends_with("where 1 real product, brought to its level, would have 0.0 %.")
        );
        assert_eq!(told.en[1], "Only sales, last 13 weeks (+10.0 points) moves it from there.");
        explained.attributions[0].values = vec![0.0004; 3];
        explained.series.location = Some("here".into());
        let told = &words(&explained)[0];
        assert_eq!(told.en[1], "No group of inputs moves it from there.");
        assert!(told.en[0].contains("1 real series") && told.zh[0].contains("1条真实序列"));
        assert_eq!([fixed(-0.04, 1), fixed(-0.06, 1), round(-0.0001)], ["0.0", "-0.1", "0.000"]);
    }

    #[test]
    fn who_works_together_is_told_beyond_doubt_alone() {
        let mut explained = explanation(1.5);
        // The largest is within its doubt of 2 errors.
        explained.interactions.values = vec![vec![9.0, -6.0, 4.0], vec![0.031, 0.0, 0.0004]];
        explained.interactions.standard_errors = vec![vec![4.5, 2.0, 1.0], vec![0.0; 3]];
        let told = words(&explained);
        let text: Vec<&str> = told
            .iter()
            .flat_map(|words| [&words.en[2], &words.zh[2]])
            .map(String::as_str)
            .collect();
        expect![[r"
            Together, “sales, last 13 weeks” and “category” add -6.0 ± 4.0 beyond what each adds alone.
            “销量（最近13周）”与“品类”共同作用，在各自的贡献之外再带来-6.0 ± 4.0。
            Together, “sales, last 13 weeks” and “price level” add +3.1 points beyond what each adds alone.
            “销量（最近13周）”与“价格水平”共同作用，在各自的贡献之外再带来+3.1 个百分点。"]]
        .assert_eq(&text.join("\n"));
        assert_eq!((told[0].en.len(), told[0].zh.len()), (4, 4));
        explained.interactions = Interactions::absent(InteractionSource::TooFew);
        assert_eq!(words(&explained)[0].en.len(), 3);
    }

    #[test]
    fn every_name_of_ours_is_known_in_chinese() {
        for family in Family::ALL {
            assert_ne!(in_chinese(family.name()), family.name());
        }
        assert_eq!(in_chinese("price before (Owen)"), "价格（更早）（欧文值）");
        assert_eq!(in_chinese("weather"), "weather");
        for name in output_names(13, Given::ALL) {
            assert_ne!(output_in_chinese(&name), name, "{name}");
        }
    }
}
