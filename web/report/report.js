// Lays the parts of a run's report out; a part without content leaves no trace.
const data = JSON.parse(document.getElementById("data").textContent);
const className = (i) => data.classes[i] ?? (i >= 0 ? `class ${i}` : "unknown");

function header() {
  document.getElementById("subtitle").textContent = data.subtitle;
  const row = ([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, Array.isArray(value) ? value.join(", ") : numberText(value)));
  document.getElementById("summary").append(...data.summary.map(row));
}

// "train/loss" -> measure "loss", split "train"
function splitName(name) {
  const at = name.lastIndexOf("/");
  return { split: at < 0 ? name : name.slice(0, at), measure: name.slice(at + 1) };
}

function seriesNote({ points, gaps, x }) {
  const thinned = points > x.length ? `extremes of ${numberText(points)} points` : null;
  return [gaps ? `${numberText(gaps)} not finite` : null, thinned].filter(Boolean).join(", ") || null;
}

// One place for each measure; where it was recorded by step and by epoch, buttons choose.
function measurePanel(measure, series, charts) {
  const title = (measure.charAt(0).toUpperCase() + measure.slice(1)).replaceAll("_", " ");
  const labels = [...new Set(series.map((s) => s.x_label))];
  const count = (label) => series.filter((s) => s.x_label === label).length;
  const most = labels.reduce((a, b) => (count(b) > count(a) ? b : a));
  const views = labels.map((label) => {
    const lines = series.filter((s) => s.x_label === label).map((s) => ({ ...s, name: splitName(s.name).split, note: seriesNote(s) }));
    const chart = lineChart({ title: `${title} by ${label}`, label, series: lines, smoothing: lines.some(isNoisy) ? 0.9 : 0 });
    charts.push({ ...chart, isNoisy: lines.some(isNoisy) });
    chart.node.hidden = label !== most;
    return { label, node: chart.node };
  });
  if (labels.length > 1) {
    for (const { node } of views) {
      node.firstChild.querySelector("h3").after(el("div", { class: "chart-tools no-print", role: "group", "aria-label": `Axis of ${title}` },
        labels.map((label) => el("button", { type: "button", "aria-pressed": String(node === views.find((v) => v.label === label).node),
          onclick: () => {
            for (const view of views) view.node.hidden = view.label !== label;
            views.find((v) => v.label === label).node.querySelector("button[aria-pressed=true]").focus();
          } }, `by ${label}`))));
    }
  }
  return views.map((view) => view.node);
}

function curves() {
  const measures = new Map();
  for (const series of data.series.filter((s) => s.x.length > 0)) {
    const { measure } = splitName(series.name);
    measures.set(measure, [...(measures.get(measure) ?? []), series]);
  }
  if (measures.size === 0) return;
  const charts = [];
  const panels = [...measures].flatMap(([measure, series]) => measurePanel(measure, series, charts));
  const head = section("curves", "Curves", "Drag across a chart to zoom, double-click for all. With a chart in focus: arrows read values, + and − zoom, 0 shows all.",
    el("div", { class: "charts" }, panels));
  if (!charts.some((chart) => chart.isNoisy)) return;
  const slider = el("input", { type: "range", min: "0", max: "0.99", step: "0.01", value: "0.9",
    oninput: () => charts.forEach((chart) => chart.isNoisy && chart.setSmoothing(Number(slider.value))) });
  head.append(el("label", { class: "smooth no-print" }, "Smoothing of noisy curves", slider));
}

function confusions() {
  const { size, block, rows, columns, correct, worst } = data.confusion;
  if (size === 0) return;
  const total = rows.reduce((a, b) => a + b, 0), right = correct.reduce((a, b) => a + b, 0);
  const list = el("table", {}, el("thead", {}, el("tr", {}, ["True → predicted", "Count", "Of true"].map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, worst.map(([t, p, n]) => el("tr", {}, el("th", { scope: "row" }, `${className(t)} → ${className(p)}`), el("td", {}, numberText(n)), el("td", {}, percentText(n / rows[t]))))));
  const blocks = block > 1 ? ` Each cell sums ${block} × ${block} classes, so that blue holds confusions of neighbours too.` : "";
  section("confusion", "Confusion", `${numberText(right)} of ${numberText(total)} right (${percentText(right / total)}). Colour is the share of the true class: blue right, orange wrong.${blocks}`,
    el("div", { class: "matrix" }, el("div", { class: "card" }, confusionMatrix(data.confusion, className)),
      el("div", { class: "card" }, el("h3", {}, "Most frequent confusions"), worst.length ? el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Most frequent confusions" }, list) : el("p", { class: "soft" }, "None."))));

  const ratio = (a, b) => (b > 0 ? a / b : NaN);
  const share = (i, value) => [el("span", { class: "bar", style: `--share: ${100 * (value || 0)}%` }), el("span", { class: "share" }, percentText(value))];
  section("classes", "Classes", null, sortableTable("Precision and recall of each class", size, [
    { title: "Class", value: (i) => i, text: (i) => className(i) },
    { title: "Precision", value: (i) => ratio(correct[i], columns[i]), text: share },
    { title: "Recall", value: (i) => ratio(correct[i], rows[i]), text: share },
    { title: "F1", value: (i) => ratio(2 * correct[i], rows[i] + columns[i]), text: share },
    { title: "Examples", value: (i) => rows[i], text: (_, value) => numberText(value) },
    { title: "Predicted", value: (i) => columns[i], text: (_, value) => numberText(value) },
  ], 0));
}

function sampleCard(sample) {
  const isRight = sample.label === sample.predicted, isKnown = sample.label >= 0;
  const image = el("img", { src: sample.image, alt: `Input of true class ${className(sample.label)}`, class: Math.max(sample.width, sample.height) < 100 ? "tiny" : null });
  const verdict = !isKnown ? [el("b", {}, className(sample.predicted))]
    : isRight ? [el("b", { class: "good" }, "✓ "), el("b", {}, className(sample.label))]
      : [el("b", { class: "bad" }, "✗ "), el("b", {}, className(sample.predicted)), el("span", { class: "soft" }, `, truly ${className(sample.label)}`)];
  const top = sample.top.map(([index, p]) => el("li", { style: `--share: ${100 * (p ?? 0)}%` }, el("span", {}, className(index)), el("span", {}, percentText(p ?? NaN))));
  return el("figure", { class: "card sample" }, image, el("figcaption", {}, el("div", { class: "verdict" }, verdict), el("ol", {}, top)));
}

function samples(id, title, note, { total, shown }) {
  if (shown.length === 0) return;
  const left = total > shown.length ? ` Shown: ${shown.length} of ${total}.` : "";
  section(id, title, note + left, el("div", { class: "samples" }, shown.map(sampleCard)));
}

function texts() {
  if (data.texts.length === 0) return;
  section("texts", "Texts", "What the model wrote after the last evaluation.",
    el("div", { class: "texts" }, data.texts.map(({ title, text }) => el("figure", { class: "card" },
      el("figcaption", {}, title), el("pre", { tabindex: "0", "aria-label": title }, text)))));
}

function configuration() {
  if (!data.configuration) return;
  const text = el("pre", { tabindex: "0", "aria-label": "Configuration" }, data.configuration);
  const copy = el("button", { type: "button", onclick: async () => {
    getSelection().selectAllChildren(text);
    try {
      await navigator.clipboard.writeText(data.configuration);
      copy.textContent = "Copied";
    } catch {
      copy.textContent = document.execCommand("copy") ? "Copied" : "Selected: copy with Ctrl+C";
    }
    setTimeout(() => { copy.textContent = "Copy"; }, 2500);
  } }, "Copy");
  const details = el("details", { class: "card" }, el("summary", {}, "Resolved configuration (TOML)"), el("div", { class: "code" }, text, copy));
  section("configuration", "Configuration", null, details);
  let wasOpen = false;
  addEventListener("beforeprint", () => { [wasOpen, details.open] = [details.open, true]; });
  addEventListener("afterprint", () => { details.open = wasOpen; });
}

function environment() {
  if (data.environment.length === 0) return;
  const text = (value) => (value !== null && typeof value === "object" ? JSON.stringify(value) : String(value ?? "–"));
  const rows = data.environment.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, text(value))));
  section("environment", "Environment", null, el("div", { class: "card" }, el("table", { class: "facts" }, el("tbody", {}, rows))));
}

header();
curves();
confusions();
samples("samples", "Sample predictions", "What the model answered, with its most probable classes.", data.samples);
samples("most-confused", "Most confused", "Wrong answers that the model was most sure of.", data.most_confused);
texts();
configuration();
environment();
