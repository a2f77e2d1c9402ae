//! The page: template, styles, charts and their library in one file that works offline.

use minijinja::value::Value;
use minijinja::{AutoEscape, Environment};

use crate::Error;
use crate::view::View;

/// The report as one self-contained HTML page.
pub(crate) fn render(view: &View) -> Result<String, Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_filter("score", score);
    let template = environment.template_from_str(include_str!("report.html"))?;
    let page = template.render(minijinja::context! {
        view => Value::from(minijinja::value::Serde(view)),
        view_json => Value::from_safe_string(script_json(view)),
        charts_js => Value::from_safe_string(include_str!("charts.js").to_owned()),
        plotly_js => Value::from_safe_string(plotly_js()),
    })?;
    Ok(page)
}

/// JSON that may stand inside a script element: no `<` survives, so no title can end the element.
fn script_json(view: &View) -> String {
    let json = serde_json::to_string(view).expect("a view is plain data");
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// Plotly's script alone: the crate hands it out with a math typesetter that no chart here uses.
fn plotly_js() -> String {
    const OPEN: &str = "<script type=\"text/javascript\">";
    let both = plotly::Plot::offline_js_sources();
    let start = both.find(OPEN).map_or(0, |at| at + OPEN.len());
    let rest = &both[start..];
    let end = rest.find(OPEN).unwrap_or(rest.len());
    let end = rest[..end].rfind("</script>").unwrap_or(end);
    rest[..end].to_owned()
}

/// Three significant digits, without an exponent.
fn score(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let digits =
        if value == 0.0 { 3 } else { (2 - value.abs().log10().floor() as i32).clamp(0, 4) };
    format!("{value:.*}", digits as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::ProductView;

    fn view(title: &str) -> View {
        View {
            dataset: "a shop".into(),
            facts: vec![("series".into(), "1".into())],
            findings: Vec::new(),
            products: vec![ProductView {
                series: "mug".into(),
                title: title.into(),
                category: String::new(),
                days: vec!["2026-01-05".into()],
                units: vec![None],
                forecast_days: Vec::new(),
                mean: Vec::new(),
                fan: Vec::new(),
                origin_days: Vec::new(),
                turns: Vec::new(),
                stages: Vec::new(),
                waterfalls: Vec::new(),
                action: String::new(),
                reason: String::new(),
            }],
            score_groups: Vec::new(),
            models: Vec::new(),
            quality: Vec::new(),
            refused: Vec::new(),
            artifacts: Vec::new(),
            scatter: None,
            reliability: Vec::new(),
        }
    }

    #[test]
    fn a_hostile_title_stays_text() {
        let hostile = "</script><img src=x onerror=alert(1)>";
        let page = render(&view(hostile)).expect("a page");
        assert!(!page.contains("<img src=x"), "the title must be escaped everywhere");
        assert!(page.contains("\\u003c/script>"), "the title is in the JSON, escaped");
    }

    #[test]
    fn the_page_needs_nothing_from_outside() {
        let page = render(&view("a mug")).expect("a page");
        assert!(page.contains("Plotly"), "the chart library is inside");
        for outside in ["<script src", "<link ", "@import"] {
            assert!(!page.contains(outside), "{outside} would load from outside");
        }
    }

    #[test]
    fn scores_have_three_significant_digits() {
        let texts: Vec<String> = [0.0, 0.01234, 0.1234, 1.234, 123.4].map(score).to_vec();
        assert_eq!(texts, ["0.000", "0.0123", "0.123", "1.23", "123"]);
    }
}
