// What moves forecasts in general: dots of all explained series, and mean sizes with intervals.
"use strict";
const isProbability = (output) => output.startsWith("P(");

/// Places of values beside each other in a row of height 1: the n-th of a bin goes up or down.
function swarmed(values, span) {
  const n_bins = 80, counts = new Map();
  return values.map((value) => {
    const bin = Math.round((value / (span || 1)) * n_bins), n = counts.get(bin) || 0;
    counts.set(bin, n + 1);
    return Math.max(-0.42, Math.min(0.42, (n % 2 ? 1 : -1) * Math.ceil(n / 2) * 0.06));
  });
}

function drawSwarm(output) {
  const view = charts.importance, bars = view.groups[0].bars[output], name = view.outputs[output];
  const ranked = bars.map((bar) => view.swarms[output].find((swarm) => swarm.player === bar.player)).filter(Boolean);
  const values = ranked.flatMap((swarm) => swarm.dots.map((dot) => dot[1]));
  const span = Math.max(...values, 0) - Math.min(...values, 0);
  const traces = ranked.map((swarm, rank) => {
    const x = swarm.dots.map((dot) => dot[1]), off = swarmed(x, span);
    return { type: "scatter", mode: "markers", x, y: off.map((one) => rank + one), showlegend: false,
      marker: { size: 5, opacity: 0.55, color: COLORS.ours }, text: swarm.dots.map((dot) => escaped(view.series[dot[0]])),
      hovertemplate: "%{text}: %{x}<extra></extra>" };
  });
  Plotly.react("swarm", traces, layout({ hovermode: "closest", showlegend: false, margin: { l: 20, r: 20, t: 10, b: 30 },
    xaxis: axis(`${view.quantity}, ${isProbability(name) ? "probability" : "units"}`, { zeroline: true, zerolinecolor: COLORS.quiet, ...(isProbability(name) ? { tickformat: ".0%" } : {}) }),
    yaxis: axis("", { tickvals: ranked.map((_, rank) => rank), ticktext: ranked.map((swarm) => escaped(swarm.player)), range: [ranked.length - 0.4, -0.6] }) }), settings);
}

function drawImportance(output, group) {
  const view = charts.importance, { n, bars } = view.groups[group], rows = bars[output] || [], name = view.outputs[output];
  const known = rows.every((row) => row.interval);
  byId("importance-n").textContent = `${n} series${known ? ", with 95 % intervals" : `: intervals are told of ${view.interval_series_min} series or more`}.`;
  const error = known ? { error_x: { type: "data", symmetric: false, array: rows.map((row) => row.interval[1] - row.size),
    arrayminus: rows.map((row) => row.size - row.interval[0]), color: COLORS.ink, thickness: 1.4 } } : {};
  Plotly.react("importance", [{ type: "bar", orientation: "h", x: rows.map((row) => row.size), y: rows.map((row) => escaped(row.player)),
    marker: { color: COLORS.ours }, hovertemplate: "%{y}: %{x}<extra></extra>", ...error }], layout({ hovermode: "closest", showlegend: false,
    margin: { l: 20, r: 20, t: 10, b: 30 },
    xaxis: axis(`mean size of ${view.quantity}, ${isProbability(name) ? "probability" : "units"}`, isProbability(name) ? { tickformat: ".1%" } : {}),
    yaxis: axis("", { autorange: "reversed" }) }), settings);
}

function drawOverTime(output) {
  const view = charts.importance, name = view.outputs[output], isShare = isProbability(name);
  const bars = view.moments.map((moment) => moment.bars[output] || []), days = view.moments.map((moment) => charts.days[moment.origin]);
  // On a log scale what rounding leaves would be most of the picture.
  const least = 1e-3 * Math.max(...bars.flat().map((bar) => bar.size));
  const players = [...new Set(bars.flat().filter((bar) => bar.size > least).map((bar) => bar.player))];
  const shades = [COLORS.ours, COLORS.decline, COLORS.growth, COLORS.ink, COLORS.introduction, COLORS.quiet, COLORS.maturity];
  const marks = ["circle", "square", "diamond", "cross", "triangle-up", "x", "star"];
  const traces = players.map((player, rank) => {
    const own = bars.map((some) => some.find((bar) => bar.player === player));
    const reach = (far) => own.map((bar) => bar && bar.interval ? far(bar) : 0);
    const error = { error_y: { type: "data", symmetric: false, array: reach((bar) => bar.interval[1] - bar.size),
      arrayminus: reach((bar) => bar.size - bar.interval[0]), thickness: 1 } };
    return { x: days, y: own.map((bar) => bar && bar.size > least ? bar.size : null), name: escaped(player), mode: "lines+markers", text: view.moments.map((moment) => `${moment.n} series`),
      line: { color: shades[rank % shades.length], width: 2 }, marker: { symbol: marks[rank % marks.length], size: 7 },
      hovertemplate: isShare ? "%{y:.1%}, %{text}" : "%{y:,.3~g}, %{text}", ...error };
  });
  Plotly.react("over-time", traces, layout({ xaxis: dayAxis(days),
    yaxis: axis(`mean size, ${isShare ? "probability" : "units"}, log scale`, { type: "log", dtick: 1, tickformat: isShare ? ".1~%" : ",~g" }) }), settings);
}

function drawHeat(place) {
  const map = charts.heat.maps[place], n = map.values[0].length, size = Math.max(...map.values.flat().map(Math.abs)) || 1;
  const shown = (value) => isProbability(map.output) ? `${(100 * value).toFixed(1)} %` : Number(value.toPrecision(3)).toLocaleString("en");
  byId("heat-sum").textContent = `Here the network alone answers ${shown(map.answer)}, and ${shown(map.base)} with their pasts; the integral errs by ${map.gap.toPrecision(1)}.`;
  Plotly.react("heat", [{ type: "heatmap", x: charts.days.slice(map.start, map.start + n), y: map.channels.map(escaped), z: map.values,
    zmin: -size, zmax: size, colorscale: [[0, COLORS.decline], [0.5, "#ffffff"], [1, COLORS.growth]],
    colorbar: { title: { text: isProbability(map.output) ? "probability" : "units" }, thickness: 12 }, hovertemplate: "%{y}, %{x}: %{z}<extra></extra>" }],
  layout({ hovermode: "closest", margin: { l: 20, r: 20, t: 10, b: 30 },
    xaxis: axis(PERIOD, { type: "date" }), yaxis: axis("", { autorange: "reversed" }) }), settings);
}

function drawRollout(place) {
  const map = charts.heat.rollouts[place], percent = (share) => `${(100 * share).toFixed(0)} %`;
  byId("rollout-of").textContent = map.of;
  byId("rollout-rest").textContent = `Derived numbers have ${percent(map.statics)}, and what is known of the ${charts.period}s to come ${percent(map.horizon)}.`;
  Plotly.react("rollout", [{ type: "bar", x: charts.days.slice(map.start, map.start + map.context.length), y: map.context,
    marker: { color: COLORS.ours }, hovertemplate: "%{x}: %{y:.1%}<extra></extra>" }], layout({ hovermode: "closest", showlegend: false,
    xaxis: axis(PERIOD, { type: "date" }), yaxis: axis("share of attention", { tickformat: ".1%" }) }), settings);
}

function drawInGeneral() {
  const output = byId("general-output").selectedIndex;
  drawSwarm(output);
  drawImportance(output, byId("general-group").selectedIndex);
  if (byId("over-time")) drawOverTime(output);
}

if (charts.importance) {
  const view = charts.importance;
  byId("general-output").replaceChildren(...view.outputs.map((output) => new Option(output)));
  byId("general-group").replaceChildren(...view.groups.map((group) => new Option(`${group.label || "all explained"} (${group.n})`)));
  for (const id of ["general-output", "general-group"]) byId(id).addEventListener("change", drawInGeneral);
  drawInGeneral();
}

if (charts.importance && charts.heat) {
  byId("heat-map").replaceChildren(...charts.heat.maps.map((map) => new Option(`${map.series}: ${map.output}`)));
  byId("heat-map").addEventListener("change", (event) => drawHeat(event.target.selectedIndex));
  drawHeat(0);
}

if (charts.importance && charts.heat && charts.heat.rollouts.length) {
  byId("rollout-map").replaceChildren(...charts.heat.rollouts.map((map) => new Option(map.series)));
  byId("rollout-map").addEventListener("change", (event) => drawRollout(event.target.selectedIndex));
  drawRollout(0);
}
