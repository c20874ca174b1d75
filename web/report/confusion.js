// The confusion matrix as a heat map: blue for the right class, orange for confusions, both by share of the row.

// confusionMatrix({size, block, cells, rows}, className) -> node
function confusionMatrix(confusion, className) {
  const { block, cells } = confusion;
  const side = Math.ceil(confusion.size / block);
  const rowTotal = Array.from({ length: side }, (_, r) => confusion.rows.slice(r * block, (r + 1) * block).reduce((a, b) => a + b, 0));
  const counts = new Map(), drawn = [];
  for (let k = 0; k < cells.length; k += 3) {
    const [row, column, count] = cells.slice(k, k + 3);
    counts.set(row * side + column, count);
    drawn.push({ row, column, count, share: count / rowTotal[row] });
  }
  // Drawn later is seen where cells are smaller than a pixel: the right ones first, then ever greater confusions.
  drawn.sort((a, b) => (a.row === a.column ? 0 : a.share) - (b.row === b.column ? 0 : b.share) || a.share - b.share);
  const name = (i) => (block === 1 ? className(i) : `${className(i * block)} … ${className(Math.min((i + 1) * block, confusion.size) - 1)}`);

  const canvas = el("canvas", { tabindex: "0", role: "img", "aria-label": `Confusion matrix of ${confusion.size} classes; arrow keys read its cells` });
  const tip = el("div", { class: "tip", role: "status", hidden: "" });
  const plot = el("div", { class: "matrix-plot" }, canvas, tip);
  let cell = 0, left = 0, top = 0, selected = null;

  function clip(context, text, room) {
    if (context.measureText(text).width <= room) return text;
    while (text.length > 1 && context.measureText(text + "…").width > room) text = text.slice(0, -1);
    return text + "…";
  }

  function layout(context, width) {
    const isNamed = side <= 40;
    context.font = `12px ${colour("--sans")}`;
    const names = isNamed ? Array.from({ length: side }, (_, i) => context.measureText(name(i)).width) : [];
    const room = isNamed ? Math.min(Math.max(...names), width * 0.24, 110) : 0;
    left = 22 + room + 6;
    cell = Math.min((width - left - 1) / side, 72);
    if (isNamed) cell = Math.floor(cell);
    const isUpright = isNamed && Math.max(...names) > cell - 4;
    top = 22 + (isNamed ? (isUpright ? Math.min(room, 90) : 12) : 0) + 6;
    return { isNamed, isUpright, room };
  }

  function drawNames(context, { isUpright, room }) {
    context.fillStyle = colour("--ink-soft");
    context.textBaseline = "middle";
    for (let i = 0; i < side; ++i) {
      const middle = (i + 0.5) * cell;
      context.textAlign = "right";
      if (cell >= 11) context.fillText(clip(context, name(i), room), left - 6, top + middle);
      context.save();
      context.translate(left + middle, top - 6);
      if (isUpright) context.rotate(-Math.PI / 2);
      context.textAlign = isUpright ? "left" : "center";
      if (cell >= 11) context.fillText(clip(context, name(i), isUpright ? 84 : cell), 0, isUpright ? 0 : -6);
      context.restore();
    }
  }

  function drawCells(context) {
    context.fillStyle = colour("--heat-low");
    const gap = cell >= 8 ? 1 : 0, size = Math.max(cell - gap, 1.5 / devicePixelRatio);
    if (gap === 0) context.fillRect(left, top, side * cell, side * cell);
    else for (let k = 0; k < side * side; ++k) context.fillRect(left + (k % side) * cell, top + Math.floor(k / side) * cell, size, size);
    context.textAlign = "center";
    context.font = `${Math.min(13, Math.max(9, cell * 0.34))}px ${colour("--sans")}`;
    const right = colour("--heat-right"), wrong = colour("--heat-wrong"), ink = colour("--ink"), inverse = colour("--card");
    for (const { row, column, count, share } of drawn) {
      const x = left + column * cell, y = top + row * cell, depth = 0.12 + 0.88 * Math.sqrt(share);
      context.globalAlpha = depth;
      context.fillStyle = row === column ? right : wrong;
      context.fillRect(x, y, size, size);
      context.globalAlpha = 1;
      const text = String(count);
      if (cell < 18 || context.measureText(text).width > cell - 3) continue;
      context.fillStyle = depth > 0.6 ? inverse : ink;
      context.fillText(text, x + size / 2, y + size / 2 + 0.5);
    }
  }

  function draw() {
    const width = plot.clientWidth;
    if (width === 0) return;
    const context = canvas.getContext("2d"), shape = layout(context, width);
    const wide = Math.ceil(left + side * cell + 1), high = Math.ceil(top + side * cell + 1);
    canvas.width = wide * devicePixelRatio;
    canvas.height = high * devicePixelRatio;
    canvas.style.width = `${wide}px`;
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.font = `12px ${colour("--sans")}`;
    if (shape.isNamed) drawNames(context, shape);
    context.font = `600 12px ${colour("--sans")}`;
    context.fillStyle = colour("--ink-soft");
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText("Predicted class", left + (side * cell) / 2, 8);
    context.save();
    context.translate(8, top + (side * cell) / 2);
    context.rotate(-Math.PI / 2);
    context.fillText("True class", 0, 0);
    context.restore();
    drawCells(context);
    if (selected) {
      context.strokeStyle = colour("--ink");
      context.lineWidth = 1.5;
      context.strokeRect(left + selected.column * cell - 0.5, top + selected.row * cell - 0.5, Math.max(cell, 4), Math.max(cell, 4));
    }
  }

  // The fullest cell within the reach of a pointer: cells of large matrices are smaller than a pixel.
  function fullestNear(x, y) {
    const reach = cell >= 6 ? 0 : Math.ceil(3 / cell);
    const row = Math.floor((y - top) / cell), column = Math.floor((x - left) / cell);
    if (row < 0 || column < 0 || row >= side || column >= side) return null;
    let best = { row, column }, most = counts.get(row * side + column) ?? 0;
    for (let r = Math.max(row - reach, 0); r <= Math.min(row + reach, side - 1); ++r)
      for (let c = Math.max(column - reach, 0); c <= Math.min(column + reach, side - 1); ++c) {
        const count = counts.get(r * side + c) ?? 0;
        if (count > most) [best, most] = [{ row: r, column: c }, count];
      }
    return best;
  }

  function select(at) {
    if (at?.row === selected?.row && at?.column === selected?.column) return;
    selected = at;
    tip.hidden = !at;
    draw();
    if (!at) return;
    const count = counts.get(at.row * side + at.column) ?? 0;
    const pair = side < confusion.size ? [name(at.row), `→ ${name(at.column)}`] : [`${name(at.row)} → ${name(at.column)}`];
    tip.replaceChildren(...pair.map((text) => el("b", {}, text)), `${numberText(count)} of ${numberText(rowTotal[at.row])} (${percentText(count / rowTotal[at.row])})`);
    const x = left + (at.column + 0.5) * cell;
    tip.style.left = `${Math.min(Math.max(x, tip.offsetWidth / 2), Math.max(plot.clientWidth - tip.offsetWidth / 2, 0))}px`;
    const isHigh = at.row * cell + top < tip.offsetHeight + 12;
    tip.style.top = `${top + (isHigh ? (at.row + 1) * cell + 8 : at.row * cell - 8 - tip.offsetHeight)}px`;
  }

  canvas.onpointermove = canvas.onpointerdown = (event) => select(fullestNear(event.offsetX, event.offsetY));
  canvas.onpointerleave = canvas.onblur = () => select(null);
  canvas.onkeydown = (event) => {
    const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (event.key === "Escape") select(null);
    if (!by) return;
    event.preventDefault();
    const within = (i) => Math.min(Math.max(i, 0), side - 1);
    select(selected ? { row: within(selected.row + by[0]), column: within(selected.column + by[1]) } : { row: 0, column: 0 });
  };
  let width = 0;
  new ResizeObserver(() => {
    if (plot.clientWidth === width || matchMedia("print").matches) return;
    width = plot.clientWidth;
    draw();
  }).observe(plot);
  onColoursChange(draw);
  return plot;
}
