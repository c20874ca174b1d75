// The waterline of a network: its layers side by side in their order, as wide as their share of the operations or of
// the time and as high as the rate that they reach, under the roof that arithmetic and memory leave to each.

const layerRate = (layer) => (layer.seconds > 0 ? layer.operations / layer.seconds : 0);

// "conv, brgconv_1x1" of a kernel "brgconv_1x1:avx512_core"
const layerKind = (layer) => (layer.kernel && layer.kernel !== layer.kind ? `${layer.kind}, ${layer.kernel.split(":")[0]}` : layer.kind);

// Colours of the kinds of layers, those that take the most time first; the sixth is all others.
function kindColours(layers) {
  const seconds = new Map();
  for (const layer of layers) seconds.set(layerKind(layer), (seconds.get(layerKind(layer)) ?? 0) + layer.seconds);
  const kinds = [...seconds].sort((a, b) => b[1] - a[1]);
  return { of: (layer) => Math.min(kinds.findIndex(([name]) => name === layerKind(layer)), 5), kinds };
}

// waterline(variant, roofs, "operations" | "seconds", choose(i)) -> {node, show(i)}
function waterline(variant, roofs, width, choose) {
  const { layers } = variant, height = 340, top = 22, bottom = 34, left = 58, right = 12;
  const plot = el("div", { class: "waterline", tabindex: "0", role: "group", "aria-label": `Waterline of ${variantName(variant)}` });
  const tip = el("div", { class: "tip", hidden: "" });
  const total = layers.reduce((sum, layer) => sum + layer[width], 0);
  const seconds = layers.reduce((sum, layer) => sum + layer.seconds, 0), operations = layers.reduce((sum, layer) => sum + layer.operations, 0);
  const colours = kindColours(layers), types = [...new Set(layers.filter((l) => l.operations > 0).map((l) => l.arithmetic))];
  const compute = types.map((type) => [type, roofs.operations[type]]).filter(([, rate]) => rate > 0);
  const most = 1.06 * Math.max(...compute.map(([, rate]) => rate), ...layers.map(layerRate), 1);
  let shown = null, bars = [], drawn = 0;

  function draw() {
    drawn = Math.floor(plot.clientWidth);
    if (drawn === 0 || total === 0) return;
    const room = drawn - left - right, floor = height - bottom;
    const x = (value) => left + (room * value) / total, y = (rate) => floor - ((floor - top) * rate) / most;
    const parts = [], roof = [];
    for (const tick of ticksUpTo(most)) {
      parts.push(svg("line", { x1: left, x2: drawn - right, y1: y(tick), y2: y(tick), class: "grid" }));
      parts.push(svg("text", { x: left - 6, y: y(tick), class: "tick y" }, tick === 0 ? "0" : rateText(tick)));
    }
    for (const share of drawn > 500 ? [0, 0.25, 0.5, 0.75, 1] : [0, 0.5, 1])
      parts.push(svg("text", { x: x(share * total), y: floor + 20, class: share === 1 ? "tick last" : "tick" }, share === 1 ? (width === "seconds" ? timeText(total) : `${operationsText(total)}op`) : `${100 * share}\u202f%`));
    let from = 0;
    bars = layers.map((layer, i) => {
      const begin = x(from), end = x(from += layer[width]);
      const idle = layer.operations === 0;
      const at = idle ? floor - 4 : y(layerRate(layer));
      if (layer.roof > 0 && end > begin) roof.push(`${roof.length ? "L" : "M"}${begin} ${y(Math.min(layer.roof, most))}H${end}`);
      const bar = svg("rect", { x: begin, y: at, width: Math.max(end - begin, 0), height: Math.max(floor - at, 0), class: idle ? "bar-of-layer idle" : "bar-of-layer", fill: `var(--series-${colours.of(layer)})` });
      bar.onpointerenter = () => show(i);
      bar.onclick = () => choose(i);
      return bar;
    });
    parts.push(...bars);
    if (roof.length) parts.push(svg("path", { d: roof.join(""), class: "roof" }));
    for (const [type, rate] of compute) {
      parts.push(svg("line", { x1: left, x2: drawn - right, y1: y(rate), y2: y(rate), class: "compute" }));
      parts.push(svg("text", { x: drawn - right, y: y(rate) - 6, class: "note" }, `${type}: ${rateText(rate)}`));
    }
    if (seconds > 0) {
      const mean = y(operations / seconds);
      parts.push(svg("line", { x1: left, x2: drawn - right, y1: mean, y2: mean, class: "mean" }));
      parts.push(svg("text", { x: left + 4, y: mean + 15, class: "note mean-note" }, `all: ${rateText(operations / seconds)}`));
    }
    parts.push(svg("line", { x1: left, x2: drawn - right, y1: floor, y2: floor, class: "floor" }));
    const label = `${layers.length} layers, ${rateText(operations / seconds)} of ${compute.map(([type, rate]) => `${type} ${rateText(rate)}`).join(", ")}`;
    plot.replaceChildren(svg("svg", { width: drawn, height, viewBox: `0 0 ${drawn} ${height}`, role: "img", "aria-label": label }, ...parts), tip);
    if (shown !== null) show(shown);
  }

  function show(i) {
    bars[shown]?.classList.remove("chosen");
    shown = i;
    tip.hidden = i === null;
    if (i === null || !bars[i]) return;
    bars[i].classList.add("chosen");
    const layer = layers[i], rate = layerRate(layer);
    const of = layer.roof > 0 && rate > 0 ? `, ${percentText(rate / layer.roof)} of its roof` : "";
    tip.replaceChildren(el("b", {}, layer.name || layer.kind), `${layer.kind}, ${layer.kernel}`, el("br"), `${timeText(layer.seconds)} (${percentText(layer.seconds / seconds)}), ${layer.operations ? rateText(rate) + of : "no products"}`,
      el("br"), `${bandwidthText(layer.bytes / layer.seconds)}, ${bytesText(layer.bytes)}`);
    const middle = Number(bars[i].getAttribute("x")) + Number(bars[i].getAttribute("width")) / 2;
    const half = Math.min(150, drawn / 2);
    tip.style.left = `${Math.min(Math.max(middle, half), drawn - half)}px`;
    tip.style.top = "0.25rem";
  }

  plot.onpointerleave = () => show(null);
  plot.onkeydown = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") return show(null);
    if (event.key === "Enter" && shown !== null) return choose(shown);
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    let next = shown === null ? (step > 0 ? -1 : layers.length) : shown;
    do next += step; while (layers[next] && layers[next][width] === 0);
    if (layers[next]) show(next);
  };
  new ResizeObserver(() => plot.clientWidth !== drawn && !matchMedia("print").matches && draw()).observe(plot);

  const keys = el("div", { class: "chart-keys" }, colours.kinds.slice(0, 6).map(([kind, time], i) =>
    el("span", { class: "key", style: `--key: var(--series-${i})` }, el("i"), i === 5 && colours.kinds.length > 6 ? "others" : kind,
      el("b", {}, percentText((i === 5 ? colours.kinds.slice(5).reduce((sum, [, t]) => sum + t, 0) : time) / seconds)))));
  const empty = total === 0 ? el("p", { class: "soft" }, "No layer of it multiplies.") : null;
  return el("div", {}, plot, empty, keys);
}
