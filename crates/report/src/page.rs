//! The page: template, styles, charts and their library in one file that works offline.

use minijinja::value::Value;
use minijinja::{AutoEscape, Environment};

use crate::Error;
use crate::numbers::{count, score};
use crate::view::{Charts, View};

/// The report as one self-contained HTML page.
pub(crate) fn render(view: &View) -> Result<String, Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_filter("score", score);
    environment.add_filter("count", count);
    let template = environment.template_from_str(include_str!("report.html"))?;
    let safe = |text: &str| Value::from_safe_string(text.to_owned());
    let page = template.render(minijinja::context! {
        view => Value::from(minijinja::value::Serde(view)),
        n_charted => view.charts.products.len(),
        has_reliability => !view.charts.reliability.is_empty(),
        has_coverage => !view.charts.coverage.is_empty(),
        has_scatter => !view.charts.scatter.is_empty(),
        n_explained => view.charts.importance.as_ref().map(|importance| importance.n_series),
        explained_by => view.charts.importance.as_ref().map(|importance| &importance.quantity),
        has_moments => view.charts.importance.as_ref().is_some_and(|one| one.moments.len() > 1),
        has_rollouts => view.charts.heat.as_ref().is_some_and(|heat| !heat.rollouts.is_empty()),
        network_alone => view.charts.heat.as_ref().map(|heat| &heat.explains),
        styles => safe(include_str!("report.css")),
        charts_json => Value::from_safe_string(script_json(&view.charts)),
        charts_js => safe(include_str!("charts.js")),
        page_js => safe(include_str!("page.js")),
        why_js => safe(include_str!("why.js")),
        plotly_js => Value::from_safe_string(plotly_js()),
    })?;
    Ok(page)
}

/// JSON that may stand inside a script element: no `<` survives, so no title can end the element.
fn script_json(charts: &Charts) -> String {
    let json = serde_json::to_string(charts).expect("charts are plain data");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{
        Bar, Heat, HeatView, ImportanceView, LimeView, MomentView, Overview, PlanGroup, PlanView,
        ProductView, Quality, RolloutView, SurrogateView, SurrogatesView, Swarm, SwarmGroup,
        Turner,
    };

    /// A page in which every text that comes from outside is `text`.
    fn view(text: &str) -> View {
        let outside = || text.to_owned();
        let product = ProductView {
            series: outside(),
            title: outside(),
            category: outside(),
            reason: outside(),
            turners: vec![Turner { target: outside(), is_reached: true, sentence: outside() }],
            limes: vec![LimeView {
                output: outside(),
                fidelity: outside(),
                is_low: true,
                players: vec![(outside(), 1.0)],
            }],
            units: vec![None],
            ..ProductView::default()
        };
        let plan = PlanView {
            series: outside(),
            title: outside(),
            order: "1".into(),
            expected: "2".into(),
            reason: outside(),
            place: Some(0),
        };
        View {
            dataset: outside(),
            facts: vec![("series".into(), "1".into())],
            overview: Overview::default(),
            plans: vec![PlanGroup {
                action: "order".into(),
                heading: "Order".into(),
                n: 1,
                rows: vec![plan],
            }],
            findings: Vec::new(),
            labels: None,
            score_groups: Vec::new(),
            models: Vec::new(),
            surrogates: Some(surrogates(text)),
            quality: Quality {
                refused: vec![(outside(), "1".into(), "1".into(), outside())],
                files: vec![std::array::from_fn(|_| outside())],
                spikes: vec![std::array::from_fn(|_| outside())],
                ..Quality::default()
            },
            artifacts: Vec::new(),
            charts: Charts {
                products: vec![product],
                importance: Some(importance(text)),
                heat: Some(heat(text)),
                ..Charts::default()
            },
        }
    }

    fn surrogates(text: &str) -> SurrogatesView {
        let outside = || text.to_owned();
        let output = SurrogateView {
            output: outside(),
            tree_fidelity: outside(),
            tree_is_low: true,
            rules: vec![outside()],
            linear_fidelity: outside(),
            linear_is_low: true,
            slopes: vec![(outside(), outside())],
        };
        SurrogatesView { fidelity_min: 0.8, n_fitted: 40, n_held_out: 20, outputs: vec![output] }
    }

    fn heat(text: &str) -> HeatView {
        let outside = || text.to_owned();
        let map = Heat {
            series: outside(),
            output: outside(),
            start: 0,
            base: 0.0,
            answer: 1.0,
            gap: 0.0,
            channels: vec![outside()],
            values: vec![vec![1.0]],
        };
        let rollout = RolloutView {
            series: outside(),
            of: outside(),
            start: 0,
            context: vec![1.0],
            statics: 0.0,
            horizon: 0.0,
        };
        HeatView { explains: outside(), maps: vec![map], rollouts: vec![rollout] }
    }

    fn importance(text: &str) -> ImportanceView {
        let outside = || text.to_owned();
        ImportanceView {
            quantity: "Shapley values".into(),
            n_series: 1,
            interval_series_min: 20,
            outputs: vec![outside()],
            groups: vec![SwarmGroup { label: outside(), n: 1, bars: vec![Vec::new()] }],
            series: vec![outside()],
            swarms: vec![vec![Swarm { player: outside(), dots: vec![(0, 1.0)] }]],
            moments: [0, 1].map(|origin| moment(text, origin)).to_vec(),
        }
    }

    fn moment(text: &str, origin: usize) -> MomentView {
        let bar = Bar { player: text.to_owned(), size: 1.0, interval: None };
        MomentView { origin, n: 1, bars: vec![vec![bar]] }
    }

    #[test]
    fn hostile_text_stays_text_wherever_it_stands() {
        let hostile = "</script><img src=x onerror=alert(1)>\" onload=\"alert(2)";
        let page = render(&view(hostile)).expect("a page");
        assert!(!page.contains("<img src=x"), "it must be escaped everywhere");
        assert!(!page.contains("onload=\"alert"), "no attribute may end");
        assert!(page.contains("\\u003c/script>"), "it is in the JSON, escaped");
        // The scripts build elements from text, never from HTML.
        let scripts = [include_str!("charts.js"), include_str!("page.js"), include_str!("why.js")];
        for script in scripts {
            assert!(!script.contains("innerHTML") && !script.contains("insertAdjacent"));
        }
    }

    #[test]
    fn the_page_needs_nothing_from_outside() {
        let page = render(&view("a mug")).expect("a page");
        assert!(page.contains("Plotly"), "the chart library is inside");
        for outside in ["<script src", "<link ", "@import", "url("] {
            let ours = page.replace(&plotly_js(), "");
            assert!(!ours.contains(outside), "{outside} would load from outside");
        }
    }

    #[test]
    fn every_picture_has_a_name() {
        let mut view = view("a mug");
        view.charts.coverage = vec![[0.5, 0.4, 0.6]];
        view.charts.scatter = vec![("a mug".into(), 1.0, 2.0)];
        let page = render(&view).expect("a page");
        let n_charts = page.matches("class=\"chart").count();
        assert_eq!(n_charts, page.matches("role=\"img\" aria-label=\"").count());
        assert!(n_charts >= 9, "{n_charts} charts");
    }
}
