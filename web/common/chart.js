// Line charts over uPlot: zoom by mouse, buttons or keys, linked cursors, logarithmic axis, smoothing.

// Exponential moving mean, weight `w` on the past, without the start's bias; gaps stay gaps.
function smoothed(values, w) {
  let mean = 0, weight = 0;
  return values.map((value) => {
    if (value === null || value === undefined) return value;
    mean = w * mean + (1 - w) * value;
    weight = w * weight + (1 - w);
    return mean / weight;
  });
}

// A curve is noisy when it travels much further than its range; smoothing a schedule would only falsify it.
function isNoisy(series) {
  let travel = 0, last = null, low = Infinity, high = -Infinity;
  for (const value of series.y) {
    if (value === null) continue;
    if (last !== null) travel += Math.abs(value - last);
    last = value;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return series.y.length > 60 && travel > 6 * (high - low);
}

// lineChart({title, label, series: [{name, x, y, note, low, high, colour, dashed}], smoothing: 0..1, logX, logY, group})
//   -> {node, setSmoothing, reset}
// `low` and `high` are drawn as a band, `colour` is the number of a series' colour (default: its place).
// Charts of the same `group` (default: label, what x counts) share their cursor and zoom.
function lineChart({ title, label, series, smoothing = 0, height = 240, logX = false, logY = false, group = label }) {
  const plot = el("div", { class: "chart-plot", tabindex: "0", role: "group", "aria-label": `${title} by ${label}` });
  const keys = el("div", { class: "chart-keys" });
  const isLogable = series.every((s) => s.y.every((v) => v === null || v > 0)) && series.some((s) => s.y.length > 2);
  const logButton = el("button", { type: "button", "aria-pressed": String(logY && isLogable), onclick: () => setLog(!log) }, "Log");
  const tool = (text, name, act) => el("button", { type: "button", "aria-label": `${name}: ${title}`, title: name, onclick: act }, text);
  const tools = el("div", { class: "chart-tools" }, isLogable ? logButton : null,
    tool("\u2212", "Zoom out", () => zoom(2)), tool("+", "Zoom in", () => zoom(0.5)), tool("Reset", "Show all", () => reset()));
  const node = el("div", { class: "card chart" }, el("div", { class: "chart-head" }, el("h3", {}, title), tools), plot, keys);

  const shown = series.map(() => true);
  let log = logY && isLogable, u = null, data = null;
  const tint = (i) => `--series-${(series[i].colour ?? i) % 6}`;

  // Columns of a series: its values, their moving mean where there is one, and the two edges of its band.
  const first = [], owner = [null];
  series.forEach((s, i) => {
    first.push(owner.length);
    for (let k = 0; k < (s.low ? 4 : 2); ++k) owner.push(i);
  });
  const columnsOf = (i) => owner.flatMap((o, column) => (o === i ? [column] : []));

  function columns() {
    const joined = uPlot.join(series.map((s) => (s.low ? [s.x, s.y, s.low, s.high] : [s.x, s.y])));
    let next = 1;
    return [joined[0], ...series.flatMap((s) => {
      const raw = joined[next++];
      const mean = smoothing > 0 && isNoisy(s) ? smoothed(raw, smoothing) : raw.map((v) => (v === null ? null : undefined));
      return s.low ? [raw, mean, joined[next++], joined[next++]] : [raw, mean];
    })];
  }

  const valueColumn = (i) => (smoothing > 0 && isNoisy(series[i]) ? first[i] + 1 : first[i]);

  function lines() {
    return series.flatMap((s, i) => {
      const stroke = (alpha) => () => colour(tint(i)) + alpha;
      const points = { show: s.x.length < 40, size: 5, stroke: stroke(""), fill: () => colour("--card") };
      const isFaint = smoothing > 0 && isNoisy(s);
      const dash = s.dashed || (s.colour ?? i) >= 6 ? [6, 4] : undefined;
      const edge = { label: `${s.name}, band`, width: 0, points: { show: false }, show: shown[i] };
      const lines = [
        { label: s.name, stroke: stroke(isFaint ? "40" : ""), width: isFaint ? 1 : 1.75, pxAlign: 0, points, dash, show: shown[i] },
        { label: `${s.name}, smoothed`, stroke: stroke(""), width: 2, pxAlign: 0, points: { show: false }, dash, show: shown[i] },
      ];
      return s.low ? [...lines, { ...edge }, { ...edge }] : lines;
    });
  }

  function build() {
    const axis = (size) => ({ stroke: () => colour("--ink-faint"), font: `12px ${colour("--sans")}`, size, gap: 6,
      grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false }, values: (_, ticks) => ticks.map((v) => (v === null ? "" : axisText(v))) });
    u?.destroy();
    data = columns();
    u = new uPlot({
      width: Math.floor(plot.clientWidth), height, legend: { show: false },
      scales: { x: { time: false, distr: logX ? 3 : 1 }, y: { distr: log ? 3 : 1 } },
      bands: series.flatMap((s, i) => (s.low ? [{ series: [first[i] + 3, first[i] + 2], fill: () => colour(tint(i)) + "2b" }] : [])),
      axes: [{ ...axis(24), space: 60 }, { ...axis(54), space: 36 }],
      cursor: { y: false, sync: { key: group }, drag: { x: true, y: false, dist: 4 }, points: { size: 7, fill: (_, column) => colour(tint(owner[column])) } },
      series: [{}, ...lines()], hooks: { setCursor: [writeKeys] },
    }, data, plot);
    writeKeys();
  }

  // Under the chart: each series with its value at the cursor, else its last one.
  function writeKeys() {
    const at = u?.cursor.idx ?? null;
    series.forEach((s, i) => {
      const column = data[valueColumn(i)];
      let index = at ?? column.length - 1;
      while (index > 0 && column[index] === undefined) --index;
      while (at === null && index > 0 && typeof column[index] !== "number") --index;
      keys.children[i].querySelector("b").textContent = numberText(column[index]);
    });
    keys.lastChild.textContent = at === null ? "last values" : `${label} ${numberText(data[0][at])}`;
  }

  keys.append(...series.map((s, i) => el("button", { type: "button", "aria-pressed": "true", title: "Show or hide", style: `--key: var(${tint(i)})`,
    onclick: (event) => {
      shown[i] = !shown[i];
      event.currentTarget.setAttribute("aria-pressed", String(shown[i]));
      for (const column of columnsOf(i)) u.setSeries(column, { show: shown[i] });
    } }, el("i"), s.name, el("b"), s.note ? el("span", {}, s.note) : null)), el("span", { class: "at", "aria-live": "polite" }));

  function setLog(on) {
    log = on;
    logButton.setAttribute("aria-pressed", String(on));
    build();
  }

  const charts = (lineChart.byGroup ??= new Map()).get(group) ?? lineChart.byGroup.set(group, []).get(group);
  const range = () => [data[0][0], data[0][data[0].length - 1]];
  function show(min, max) {
    for (const chart of charts) chart.setRange(min, max);
  }
  const reset = () => charts.forEach((chart) => chart.showAll());

  function zoom(factor) {
    const { min, max } = u.scales.x, [low, high] = range();
    const middle = u.cursor.idx === null || u.cursor.idx === undefined ? (min + max) / 2 : data[0][u.cursor.idx];
    const width = Math.min((max - min) * factor, high - low);
    const left = Math.min(Math.max(middle - width * (middle - min) / (max - min), low), high - width);
    if (width > 0) show(left, left + width);
  }

  function moveCursor(by) {
    const last = data[0].length - 1;
    const index = Math.min(Math.max((u.cursor.idx ?? (by > 0 ? -1 : last + 1)) + by, 0), last);
    u.setCursor({ left: u.valToPos(data[0][index], "x"), top: u.bbox.height / 2 / devicePixelRatio });
  }

  plot.onkeydown = (event) => {
    const step = event.shiftKey ? 10 : 1;
    const act = { ArrowLeft: () => moveCursor(-step), ArrowRight: () => moveCursor(step), "+": () => zoom(0.5), "=": () => zoom(0.5),
      "-": () => zoom(2), 0: reset, Escape: reset }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  };

  const setRange = (min, max) => u && max > min && u.setScale("x", { min, max });
  charts.push({ setRange, showAll: () => u && setRange(...range()) });
  new ResizeObserver(() => {
    const width = Math.floor(plot.clientWidth);
    if (width === 0 || width === u?.width || matchMedia("print").matches) return;
    if (u) u.setSize({ width, height });
    else build();
  }).observe(plot);
  onColoursChange(() => u?.redraw(false, true));
  return { node, setSmoothing: (value) => { smoothing = value; if (u) build(); } };
}
