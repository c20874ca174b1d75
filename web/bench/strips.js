// Every run of every variant as a dot on one axis of time, so that noise and outliers are seen.
function timeStrips(variants) {
  const rowHeight = 40, below = 30, top = 8;
  const plot = el("div", { class: "strips" });
  const most = Math.max(...variants.map((v) => v.p99)) * 1.15;
  const height = top + rowHeight * variants.length + below;

  function draw() {
    const width = Math.floor(plot.clientWidth);
    if (width === 0) return;
    const left = 8, room = width - left - 16;
    const at = (seconds) => left + (room * Math.min(seconds, most)) / most;
    const parts = [];
    for (const tick of ticksUpTo(most, width > 600 ? 8 : 4)) {
      parts.push(svg("line", { x1: at(tick), x2: at(tick), y1: top, y2: height - below, class: "grid" }));
      parts.push(svg("text", { x: at(tick), y: height - below + 18, class: "tick" }, tick === 0 ? "0" : timeText(tick)));
    }
    variants.forEach((variant, row) => {
      const y = top + rowHeight * row;
      parts.push(svg("text", { x: left + 4, y: y + 11, class: "name" }, variantName(variant)));
      variant.seconds.forEach((seconds, i) =>
        parts.push(svg("circle", { cx: at(seconds), cy: y + 25 + ((i * 7) % 9) - 4, r: 2.5, fill: `var(--series-${row % 6})`, "fill-opacity": seconds > most ? 0.25 : 0.6 })));
      for (const [seconds, mark] of [[variant.median, "median"], [variant.p90, "p90"], [variant.p99, "p99"]])
        parts.push(svg("line", { x1: at(seconds), x2: at(seconds), y1: y + 17, y2: y + 33, class: mark }));
    });
    const label = "Time of each run: " + variants.map((v) => `${variantName(v)} ${timeText(v.median)}`).join(", ");
    plot.replaceChildren(svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, ...parts));
  }

  new ResizeObserver(() => !matchMedia("print").matches && draw()).observe(plot);
  return el("div", { class: "card" }, plot);
}
