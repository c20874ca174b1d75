// Lays the parts of a benchmark out: times, the waterline and the layers of the variant that is chosen, the machine.
const data = JSON.parse(document.getElementById("data").textContent);
const manyNames = new Set(data.variants.map((v) => v.name)).size > 1;

function variantName(variant) {
  const words = [manyNames || data.variants.length === 1 ? variant.name : null, variant.dtype, `batch ${variant.batch}`];
  for (const [flag, word] of [["winograd", "Winograd"], ["fused_blocks", "fused blocks"]]) if (variant[flag]) words.push(word);
  if (variant.kernels === "measured") words.push("measured kernels");
  return words.filter(Boolean).join(", ");
}

const itemSeconds = (variant) => variant.median / Math.max(variant.batch, 1);

function header() {
  document.getElementById("subtitle").textContent = `${data.machine.processor}, ${data.roofs.threads} thread${data.roofs.threads === 1 ? "" : "s"}. Each variant ran ${data.repeat} times after ${data.warmup} for warm-up, taking turns.`;
  const best = data.variants.reduce((a, b) => (itemSeconds(b) < itemSeconds(a) ? b : a));
  const rows = [[`Fastest: ${variantName(best)}`, timeText(best.median)], ["Items a second", numberText(best.per_second)],
    ...Object.entries(data.roofs.operations).map(([type, rate]) => [`Roof of ${type}`, rateText(rate)]), ["Memory", bandwidthText(data.roofs.bytes)]];
  document.getElementById("summary").append(...rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function times() {
  const of = (key) => (i) => data.variants[i][key], first = data.variants[0];
  const time = (title, key) => ({ title, value: of(key), text: (_, value) => timeText(value) });
  const bytes = (title, key) => ({ title, value: of(key), text: (_, value) => bytesText(value) });
  section("times", "Times", "A dot is a run; lines mark the median, P90 and P99. Runs beyond 1.15 of the longest P99 are drawn at the edge. The first result is measured in a process of its own, from opening the file; the peak is the memory of that process.",
    timeStrips(data.variants),
    sortableTable("Times and memory of each variant", data.variants.length, [
      { title: "Variant", value: (i) => i, text: (i) => variantName(data.variants[i]) },
      time("First result", "first_result"), time("P50", "median"), time("P90", "p90"), time("P99", "p99"),
      { title: "A second", value: of("per_second"), text: (_, value) => numberText(value) },
      { title: "Against the first", value: (i) => itemSeconds(first) / itemSeconds(data.variants[i]), text: (_, value) => `${value.toFixed(2)} ×` },
      bytes("Session", "session_bytes"), bytes("Weights", "weight_bytes"), bytes("Peak", "peak_bytes"),
    ], 0));
}

// Buttons of which one is pressed.
function choices(label, words, chosen, choose) {
  const buttons = words.map((word, i) => el("button", { type: "button", "aria-pressed": String(i === chosen), onclick: () => {
    buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(k === i)));
    choose(i);
  } }, word));
  return el("div", { class: "segments", role: "group", "aria-label": label }, buttons);
}

function layerTable(variant) {
  const { layers } = variant, all = layers.reduce((sum, layer) => sum + layer.seconds, 0);
  const of = (value, text) => ({ value: (i) => value(layers[i]), text: (_, number) => text(number) });
  const share = (layer) => layer.seconds / all;
  return sortableTable("Layers", layers.length, [
    { title: "Layer", value: (i) => i, text: (i) => [layers[i].name || "–", el("small", {}, layers[i].layout)] },
    { title: "Kind", value: (i) => layers[i].kind, text: (_, value) => value },
    { title: "Kernel", value: (i) => layers[i].kernel, text: (_, value) => value },
    { title: "Time", ...of((layer) => layer.seconds, timeText) },
    { title: "Share", value: (i) => share(layers[i]), text: (_, value) => [el("span", { class: "bar", style: `--share: ${100 * value}%` }), el("span", { class: "share" }, percentText(value))] },
    { title: "Rate", ...of(layerRate, (rate) => (rate > 0 ? rateText(rate) : "–")) },
    { title: "Of its roof", ...of((layer) => (layer.roof > 0 && layer.operations > 0 ? layerRate(layer) / layer.roof : NaN), percentText) },
    { title: "Memory", ...of((layer) => layer.bytes / layer.seconds, bandwidthText) },
  ], 0);
}

function layers() {
  let variant = 0, width = 0;
  const plot = el("div", { class: "card" }), table = el("div", { class: "layers" });
  const choose = (i) => {
    const rows = [...table.querySelectorAll("tbody tr")], name = data.variants[variant].layers[i].name || "–";
    rows.forEach((row) => row.classList.toggle("chosen", row.firstChild.firstChild.textContent === name));
    rows.find((row) => row.classList.contains("chosen"))?.scrollIntoView({ block: "nearest" });
  };
  const draw = () => plot.replaceChildren(waterline(data.variants[variant], data.roofs, ["operations", "seconds"][width], choose));
  const drawAll = () => {
    draw();
    table.replaceChildren(layerTable(data.variants[variant]));
  };
  const pick = data.variants.length > 1 ? choices("Variant", data.variants.map(variantName), 0, (i) => { variant = i; drawAll(); }) : null;
  section("waterline", "Waterline", "A layer is as high as the rate it reaches and as wide as its share. The stepped line is its roof: the arithmetic of its type, or what memory can bring. A layer whose data are still in a cache may stand above it. With the plot in focus, arrows go from layer to layer.",
    el("div", { class: "choices no-print" }, pick, choices("Width of a layer", ["by operations", "by time"], 0, (i) => { width = i; draw(); })), plot);
  section("layers", "Layers", "Medians of runs with a clock around each layer.", table);
  drawAll();
}

function machine() {
  const rows = Object.entries(data.machine).map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, String(value ?? "–"))));
  section("machine", "Machine", null, el("div", { class: "card" }, el("table", { class: "facts" }, el("tbody", {}, rows))));
}

header();
times();
layers();
machine();
