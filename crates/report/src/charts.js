// Draws the charts of the report from the JSON beside it. Text from outside goes through Plotly's
// labels only when escaped.
"use strict";
const charts = JSON.parse(document.getElementById("charts").textContent);
const COLORS = { introduction: "#56b4e9", growth: "#009e73", maturity: "#0072b2", decline: "#d55e00",
  halved: "#d55e00", doubled: "#009e73", silent: "#1d2430", ours: "#0b5cad", ink: "#1d2430", quiet: "#8a94a3" };
const DASHES = { halved: "solid", doubled: "dash", silent: "dot" };
const SYMBOLS = { halved: "circle", doubled: "diamond", silent: "square" };
const TURNS = ["halved", "doubled", "silent"];
const TURN_NAMES = { halved: "share halves", doubled: "share doubles", silent: "nothing is sold" };
const STAGES = ["introduction", "growth", "maturity", "decline"];
const PERIOD = charts.period === "day" ? "day" : `first day of the ${charts.period}`;
const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
const settings = { displayModeBar: false, responsive: true };
const axis = (title, more) => Object.assign({ title: { text: title, standoff: 8 }, automargin: true, zeroline: false,
  gridcolor: "#e6e9ef", linecolor: "#aab4c2", fixedrange: true }, more);
const layout = (more) => Object.assign({
  margin: { l: 40, r: 14, t: 10, b: 30 }, font: { size: 12, color: COLORS.ink, family: "system-ui, 'DejaVu Sans', sans-serif" },
  legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 11 }, traceorder: "normal" }, hovermode: "x unified",
  paper_bgcolor: "#fff", plot_bgcolor: "#fff",
}, more);
const probability = axis("probability", { range: [0, 1.02], tickformat: ".0%" });
const diagonal = (top) => ({ x: [0, top], y: [0, top], mode: "lines", showlegend: false, hoverinfo: "skip",
  line: { dash: "dot", color: COLORS.quiet, width: 1.5 } });
const dayAxis = (days) => axis(`${charts.period} of the forecast`, { type: "date", range: padded(days) });

/// A little air at both ends of some days, so that a single origin is a point in the middle.
function padded(days) {
  if (!days.length) return undefined;
  const first = Date.parse(days[0]), last = Date.parse(days[days.length - 1]);
  const air = Math.max(0.03 * (last - first), 10 * 864e5);
  return [new Date(first - air).toISOString(), new Date(last + air).toISOString()];
}

function cutLine(days) {
  const cut = charts.days[charts.cut];
  if (!days.length || cut < days[0] || cut > days[days.length - 1]) return {};
  return { shapes: [{ type: "line", x0: cut, x1: cut, y0: 0, y1: 1, yref: "paper", line: { color: COLORS.ink, width: 1.5, dash: "dot" } }] };
}

function drawFan(product) {
  const first = Math.max(0, product.units.findIndex((units) => units !== null));
  const sold = product.units.slice(first), past = sold.map((_, index) => charts.days[product.start + first + index]);
  const ahead = product.mean.map((_, index) => charts.days[product.ahead + index]);
  const [low, lower, median, upper, high] = product.fan;
  const traces = [{ x: past, y: sold, mode: "lines+markers", name: "sold", marker: { size: 2.5 },
    line: { color: COLORS.ink, width: 1.3 }, hovertemplate: "%{y:,.4~g}" }];
  const line = (y, name, more) => ({ x: ahead, y, name, mode: "lines", hovertemplate: "%{y:,.3~g}", ...more });
  const band = (bottom, top, color, name) => [
    line(bottom, name, { line: { width: 0 }, showlegend: false, hoverinfo: "skip", hovertemplate: undefined }),
    line(top, name, { line: { width: 0 }, fill: "tonexty", fillcolor: color, hovertemplate: "up to %{y:,.3~g}" }),
  ];
  if (product.fan.length === 5) {
    traces.push(...band(low, high, "rgba(11,92,173,.16)", "90 % band"), ...band(lower, upper, "rgba(11,92,173,.34)", "60 % band"));
    traces.push(line(median, "median", { line: { color: COLORS.ours, width: 2 } }));
  }
  if (ahead.length) traces.push(line(product.mean, "mean", { line: { color: COLORS.decline, width: 1.6, dash: "dash" } }));
  Plotly.react("fan", traces, layout({
    xaxis: axis(PERIOD, { type: "date" }),
    yaxis: axis(`units a ${charts.period}`, { rangemode: "tozero" }),
  }), settings);
}

function drawTurns(product, outlook) {
  const days = product.origins.map((origin) => charts.days[origin]);
  const traces = TURNS.map((turn, index) => ({
    x: days, y: product.turns[outlook][index], name: TURN_NAMES[turn], mode: "lines+markers", hovertemplate: "%{y:.0%}",
    line: { color: COLORS[turn], dash: DASHES[turn], width: 2 }, marker: { symbol: SYMBOLS[turn], size: 6 },
  }));
  Plotly.react("turns", traces, layout({ xaxis: dayAxis(days), yaxis: probability, ...cutLine(days) }), settings);
}

function drawStages(product) {
  const days = product.origins.map((origin) => charts.days[origin]);
  // Areas over time; bars where there are too few origins for an area.
  const shape = (stage) => days.length > 2
    ? { type: "scatter", mode: "lines", stackgroup: "stages", line: { width: 1, color: "#fff" }, fillcolor: COLORS[stage] }
    : { type: "bar", marker: { color: COLORS[stage] } };
  const traces = STAGES.map((stage, index) => ({
    x: days, y: product.stages[index], name: stage, hovertemplate: "%{y:.0%}", ...shape(stage),
  }));
  const range = days.length > 2 ? [days[0], days[days.length - 1]] : padded(days);
  const more = { barmode: "stack", bargap: 0.05, xaxis: { ...dayAxis(days), range }, yaxis: { ...probability, range: [0, 1] }, ...cutLine(days) };
  Plotly.react("stages", traces, layout(more), settings);
}

function drawWaterfall(waterfall) {
  if (!waterfall) { Plotly.purge("waterfall"); return; }
  const names = waterfall.players.map((player) => escaped(player[0]));
  const isShare = waterfall.output.startsWith("P(");
  const shown = (value) => isShare ? `${(100 * value).toFixed(1)} %` : Number(value.toPrecision(3)).toLocaleString("en");
  const signed = (value) => (value < 0 ? "−" : "+") + shown(Math.abs(value));
  const texts = [shown(waterfall.base), ...waterfall.players.map((player) => signed(player[1])), shown(waterfall.served)];
  const errors = [0, ...waterfall.players.map((player) => player[2]), 0];
  Plotly.react("waterfall", [{
    type: "waterfall", orientation: "h", cliponaxis: false,
    y: ["typical product", ...names, "forecast"],
    x: [waterfall.base, ...waterfall.players.map((player) => player[1]), waterfall.served],
    measure: ["absolute", ...names.map(() => "relative"), "total"],
    text: texts, textposition: "outside", textfont: { size: 11 },
    hovertext: texts.map((text, index) => errors[index] ? `${text} (standard error ${shown(errors[index])})` : text),
    hoverinfo: "y+text", connector: { line: { color: "#b8c0cc", width: 1 } },
    increasing: { marker: { color: COLORS.growth } }, decreasing: { marker: { color: COLORS.decline } },
    totals: { marker: { color: COLORS.ours } },
  }], layout({ margin: { l: 20, r: 56, t: 10, b: 30 }, hovermode: "closest", showlegend: false,
    xaxis: axis(isShare ? "probability" : "units", isShare ? { tickformat: ".0%" } : {}),
    yaxis: axis("", { autorange: "reversed" }) }), settings);
}

function drawReliability(turn) {
  const curves = charts.reliability.filter((one) => one.task === turn);
  const shades = ["#56b4e9", "#0072b2", "#1d2430"], marks = ["circle", "diamond", "square"];
  const traces = curves.map((one, index) => ({
    x: one.bins.map((bin) => bin[0]), y: one.bins.map((bin) => bin[1]), mode: "lines+markers", name: `${one.horizon} weeks`,
    text: one.bins.map((bin) => `${bin[2].toLocaleString("en")} rows`), hovertemplate: "said %{x:.0%}, came %{y:.0%}, %{text}",
    line: { color: shades[index % 3] }, marker: { symbol: marks[index % 3], size: 6 },
  }));
  const top = Math.min(1, 1.1 * Math.max(0.05, ...curves.flatMap((one) => one.bins.flatMap((bin) => [bin[0], bin[1]]))));
  Plotly.react(`reliability-${turn}`, [...traces, diagonal(top)], layout({ hovermode: "closest",
    xaxis: axis(`forecast: ${TURN_NAMES[turn]}`, { range: [-0.02 * top, top], tickformat: ".0%", nticks: 6 }),
    yaxis: axis("it came", { range: [-0.02 * top, top], tickformat: ".0%", nticks: 6 }) }), settings);
}

function drawCoverage() {
  const rows = charts.coverage;
  Plotly.react("coverage", [{
    type: "bar", x: rows.map((row) => row[0]), base: rows.map((row) => row[1]), y: rows.map((row) => Math.max(row[2] - row[1], 0.004)),
    width: 0.022, marker: { color: COLORS.ours }, showlegend: false,
    text: rows.map((row) => `quantile ${row[0]}: fewer in ${(100 * row[1]).toFixed(1)} %, at most in ${(100 * row[2]).toFixed(1)} %`),
    textposition: "none", hovertemplate: "%{text}<extra></extra>",
  }, diagonal(1)], layout({ hovermode: "closest",
    xaxis: axis("quantile level", { range: [-0.02, 1.02] }), yaxis: axis("share of periods", { range: [-0.02, 1.02], tickformat: ".0%" }) }), settings);
}

function drawScatter() {
  // On a logarithmic scale of units + 1, so that both nothing and thousands can be seen.
  const points = charts.scatter, top = Math.max(2, ...points.map((point) => Math.max(point[1], point[2]) + 1));
  const ticks = { type: "log", tickvals: [1, 2, 6, 11, 51, 101, 501, 1001, 5001, 10001, 100001],
    ticktext: ["0", "1", "5", "10", "50", "100", "500", "1,000", "5,000", "10,000", "100,000"], range: [-0.05, Math.log10(top) + 0.05] };
  Plotly.react("scatter", [{
    x: points.map((point) => point[1] + 1), y: points.map((point) => point[2] + 1), mode: "markers", showlegend: false,
    marker: { size: 4, opacity: 0.35, color: COLORS.ours },
    text: points.map((point) => `${escaped(point[0])}: sold ${point[1]}, predicted ${point[2].toFixed(1)}`), hovertemplate: "%{text}<extra></extra>",
  }, { ...diagonal(top), x: [1, top], y: [1, top] }], layout({ hovermode: "closest",
    xaxis: axis("units sold", ticks), yaxis: axis("units predicted", ticks) }), settings);
}
