// Chooses what is shown: search, filters, the product, the explained number, the outlook.
"use strict";
const byId = (id) => document.getElementById(id);
let current = 0;

function label(product) {
  const mark = product.waterfalls.length ? "∑ " : "";
  const title = product.title ? `  ${product.title}` : "";
  const notes = [product.stage, product.action === "order" || product.action === "hold" ? "" : product.action].filter(Boolean);
  return `${mark}${product.series}${title}${notes.length ? ` (${notes.join(", ")})` : ""}`;
}

function matches(product, words, stage, action) {
  const text = `${product.series} ${product.title} ${product.category}`.toLowerCase();
  return words.every((word) => text.includes(word)) && (!stage || product.stage === stage) && (!action || product.action === action);
}

/// Lists the products that match; shows the first of them if the current one does not.
function list() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = charts.products.map((product, place) => [product, place])
    .filter(([product]) => matches(product, words, byId("stage").value, byId("decision").value));
  byId("series").replaceChildren(...found.map(([product, place]) => new Option(label(product), place, false, place === current)));
  byId("found").textContent = `${found.length} of ${charts.products.length} products`;
  if (found.length && !found.some(([, place]) => place === current)) show(found[0][1]);
}

/// Lists what would turn the product's forecast.
function listTurners(turners) {
  byId("turners").hidden = !turners.length;
  byId("turner-rows").replaceChildren(...turners.map((turner) => {
    const row = document.createElement("tr");
    for (const text of [turner.target, turner.is_reached ? "yes" : "none", turner.sentence]) {
      row.appendChild(document.createElement("td")).textContent = text;
    }
    return row;
  }));
}

function show(place) {
  const product = charts.products[place];
  if (!product) return;
  current = place;
  byId("series").value = place;
  byId("name").textContent = product.title ? `${product.series}: ${product.title}` : product.series;
  byId("category").textContent = product.category;
  byId("badge-stage").textContent = product.stage;
  byId("badge-stage").hidden = !product.stage;
  byId("badge-action").textContent = product.action;
  byId("badge-action").hidden = !product.action;
  byId("reason").textContent = product.reason;
  byId("cautions").textContent = product.cautions.join(" ");
  const total = product.mean.reduce((sum, mean) => sum + mean, 0);
  byId("fan").setAttribute("aria-label", `Units sold of ${product.series}, and ${Math.round(total).toLocaleString("en")} expected over the next ${product.mean.length} ${charts.period}s, with quantile bands`);
  drawFan(product);
  drawTurns(product, byId("outlook").selectedIndex);
  drawStages(product);
  const output = byId("output"), chosen = Math.max(0, output.selectedIndex);
  output.replaceChildren(...product.waterfalls.map((waterfall) => new Option(waterfall.output)));
  output.selectedIndex = Math.min(chosen, product.waterfalls.length - 1);
  output.hidden = byId("waterfall").hidden = !product.waterfalls.length;
  byId("unexplained").hidden = product.waterfalls.length > 0;
  listTurners(product.turners);
  showWhy(product, product.waterfalls[Math.max(0, output.selectedIndex)]);
}

/// What one number rests on: as a picture, in words, and by LIME.
function showWhy(product, waterfall) {
  drawWaterfall(waterfall);
  byId("words").textContent = waterfall ? waterfall.words : "";
  showLime(product, waterfall);
}

/// LIME weights of the explained number, as a table: they are no part of the waterfall.
function showLime(product, waterfall) {
  const lime = waterfall && product.limes.find((one) => one.output === waterfall.output);
  byId("lime").hidden = !lime;
  if (!lime) return;
  byId("lime-fidelity").className = lime.is_low ? "caution" : "quiet";
  byId("lime-fidelity").textContent = `Not Shapley values: slopes of a linear model around this forecast, R² ${lime.fidelity}${lime.is_low ? ", too low to rely on" : ""}.`;
  const shown = (value) => waterfall.output.startsWith("P(") ? `${(100 * value).toFixed(1)} points` : Number(value.toPrecision(3)).toLocaleString("en");
  byId("lime-weights").replaceChildren(...lime.players.map(([player, weight]) => {
    const row = document.createElement("tr"), cells = [player, shown(weight)].map(() => document.createElement("td"));
    [cells[0].textContent, cells[1].textContent, cells[1].className] = [player, shown(weight), "number"];
    row.replaceChildren(...cells);
    return row;
  }));
}

for (const id of ["stage", "decision"]) byId(id).addEventListener("change", list);
byId("search").addEventListener("input", list);
byId("series").addEventListener("change", (event) => show(Number(event.target.value)));
byId("output").addEventListener("change", (event) => {
  const product = charts.products[current];
  showWhy(product, product.waterfalls[event.target.selectedIndex]);
});
byId("outlook").replaceChildren(...charts.outlook_weeks.map((weeks) => new Option(`within ${weeks} weeks`)));
byId("outlook").selectedIndex = 1;
byId("outlook").addEventListener("change", (event) => drawTurns(charts.products[current], event.target.selectedIndex));
for (const button of document.querySelectorAll("button[data-place]")) {
  button.addEventListener("click", () => {
    byId("search").value = byId("stage").value = byId("decision").value = "";
    show(Number(button.dataset.place));
    list();
    byId("products").scrollIntoView();
  });
}
list();
show(0);
for (const turn of TURNS) if (byId(`reliability-${turn}`)) drawReliability(turn);
if (byId("coverage")) drawCoverage();
if (byId("scatter")) drawScatter();
