// Draws the charts of the report from the JSON beside it. Text goes through textContent or
// Plotly's escaped labels only: titles come from outside.
"use strict";
const view = JSON.parse(document.getElementById("view").textContent);
const byId = (id) => document.getElementById(id);
const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
const layout = (more) => Object.assign({
  margin: { l: 46, r: 12, t: 8, b: 36 }, height: 300, font: { size: 12 },
  legend: { orientation: "h", y: -0.18 }, hovermode: "x unified",
}, more);
const config = { displayModeBar: false, responsive: true };
const colors = ["#8fb8de", "#2f9e6e", "#0b63c5", "#d9822b"];

function drawFan(product) {
  const days = product.forecast_days, [low, lower, median, upper, high] = product.fan;
  const band = (bottom, top, color, name) => [
    { x: days, y: bottom, mode: "lines", line: { width: 0 }, showlegend: false, hoverinfo: "skip" },
    { x: days, y: top, mode: "lines", line: { width: 0 }, fill: "tonexty", fillcolor: color, name },
  ];
  const traces = [{ x: product.days, y: product.units, mode: "lines", name: "sold", line: { color: "#1d2430", width: 1.4 } }];
  if (days.length && product.fan.length === 5) {
    traces.push(...band(low, high, "rgba(11,99,197,.14)", "5 to 95 %"), ...band(lower, upper, "rgba(11,99,197,.28)", "20 to 80 %"),
      { x: days, y: median, mode: "lines", name: "median", line: { color: "#0b63c5" } },
      { x: days, y: product.mean, mode: "lines", name: "mean", line: { color: "#0b63c5", dash: "dot" } });
  }
  Plotly.react("fan", traces, layout({ yaxis: { rangemode: "tozero", title: { text: "units a period" } } }), config);
}

function drawLines(id, names, rows, days, stacked) {
  const traces = names.map((name, index) => ({
    x: days, y: rows[index] || [], name, mode: stacked ? "lines" : "lines+markers",
    stackgroup: stacked ? "all" : undefined, line: { color: colors[index], width: stacked ? 0.5 : 2 },
    fillcolor: stacked ? colors[index] : undefined,
  }));
  Plotly.react(id, traces, layout({ yaxis: { range: [0, 1], title: { text: "probability" } } }), config);
}

function drawWaterfall(waterfall) {
  if (!waterfall) { Plotly.purge("waterfall"); return; }
  const names = waterfall.players.map((player) => escaped(player[0]));
  Plotly.react("waterfall", [{
    type: "waterfall", orientation: "h",
    y: ["typical product", ...names, "forecast"],
    x: [waterfall.base, ...waterfall.players.map((player) => player[1]), waterfall.served],
    measure: ["absolute", ...names.map(() => "relative"), "total"],
    customdata: [0, ...waterfall.players.map((player) => player[2]), 0],
    hovertemplate: "%{y}: %{delta:.4g} ± %{customdata:.2g}<extra></extra>",
    connector: { line: { color: "#b8c0cc", width: 1 } },
    increasing: { marker: { color: "#2f9e6e" } }, decreasing: { marker: { color: "#c4453c" } },
    totals: { marker: { color: "#0b63c5" } },
  }], layout({ margin: { l: 150, r: 12, t: 8, b: 36 }, hovermode: "closest", yaxis: { autorange: "reversed" } }), config);
}

function show(index) {
  const product = view.products[index];
  if (!product) return;
  byId("category").textContent = product.category;
  byId("action").textContent = product.action;
  byId("action").hidden = !product.action;
  byId("reason").textContent = product.reason;
  drawFan(product);
  drawLines("turns", ["halved", "doubled", "silent"], product.turns, product.origin_days, false);
  drawLines("stages", ["introduction", "growth", "maturity", "decline"], product.stages, product.origin_days, true);
  const output = byId("output");
  const chosen = Math.max(0, output.selectedIndex);
  output.replaceChildren(...product.waterfalls.map((waterfall) => new Option(waterfall.output)));
  output.selectedIndex = Math.min(chosen, product.waterfalls.length - 1);
  drawWaterfall(product.waterfalls[Math.max(0, output.selectedIndex)]);
}

function drawReliability() {
  const traces = view.reliability.map((one) => ({ x: one.predicted, y: one.observed, mode: "lines+markers", name: escaped(one.name) }));
  traces.push({ x: [0, 1], y: [0, 1], mode: "lines", name: "perfect", line: { dash: "dot", color: "#8a94a3" } });
  Plotly.react("reliability", traces, layout({ height: 360, hovermode: "closest",
    xaxis: { range: [0, 1], title: { text: "predicted" } }, yaxis: { range: [0, 1], title: { text: "observed" } } }), config);
}

function drawScatter() {
  const { observed, predicted } = view.scatter;
  const top = Math.max(1, ...observed, ...predicted);
  Plotly.react("scatter", [
    { x: observed, y: predicted, mode: "markers", marker: { size: 4, opacity: 0.4, color: "#0b63c5" }, name: "a series and period" },
    { x: [0, top], y: [0, top], mode: "lines", name: "equal", line: { dash: "dot", color: "#8a94a3" } },
  ], layout({ height: 360, hovermode: "closest", xaxis: { title: { text: "units sold" } }, yaxis: { title: { text: "units predicted" } } }), config);
}

byId("series").addEventListener("change", (event) => show(event.target.selectedIndex));
byId("output").addEventListener("change", (event) => {
  const product = view.products[byId("series").selectedIndex];
  drawWaterfall(product.waterfalls[event.target.selectedIndex]);
});
show(0);
if (byId("reliability")) drawReliability();
if (byId("scatter")) drawScatter();
