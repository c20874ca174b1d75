// The way of the stream through one site: what the branch reads, and how its output is merged.

function streamDiagram({ title, streams, begin, read, merge, finish }) {
  const gap = 26, top = 24 + gap * (streams.length - 1), below = top + 62, letter = 7.9;
  const room = (text) => Math.max(64, text.length * letter + 24);
  const beginAt = room(begin), readAt = beginAt + 40 + room(read) / 2, branchAt = readAt + room(read) / 2 + 60, mergeAt = branchAt + 70 + room(merge) / 2;
  const end = mergeAt + room(merge) / 2 + 50, width = end + room(finish);
  const box = (x, y, text, kind = "") => [svg("rect", { x: x - room(text) / 2, y: y - 15, width: room(text), height: 30, rx: 6, class: kind }), svg("text", { x, y }, text)];
  const name = (x, y, text) => svg("text", { x, y, class: "name" }, text);
  const flow = (path) => svg("path", { d: path, class: "flow", "marker-end": "url(#arrow)" });
  const parts = [svg("defs", {}, svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" }, svg("path", { d: "M0 0 8 4 0 8z", fill: "currentColor" })))];
  streams.forEach((stream, i) => {
    const y = top - gap * i;
    parts.push(svg("path", { d: `M${beginAt} ${y}H${end}`, class: "stream" }), name(beginAt + 14, y - 10, stream));
  });
  const lowest = top, highest = top - gap * (streams.length - 1);
  parts.push(flow(`M${readAt} ${highest}V${below - 15}`), flow(`M${readAt + room(read) / 2} ${below}H${branchAt - 32}`),
    flow(`M${branchAt + 32} ${below}H${mergeAt - room(merge) / 2}`), flow(`M${mergeAt} ${below - 15}V${lowest + 3}`));
  for (let i = 0; i < streams.length; ++i) parts.push(svg("circle", { cx: mergeAt, cy: top - gap * i, r: 4.5, fill: "var(--accent)" }));
  parts.push(...box(beginAt / 2, top, begin), ...box(readAt, below, read), ...box(branchAt, below, "f", "branch"), ...box(mergeAt, below, merge), ...box(end + room(finish) / 2, top, finish));
  parts.push(name(beginAt / 2, top + 26, "begin"), name(readAt, below + 26, "read"), name(branchAt, below + 26, "branch"), name(mergeAt, below + 26, "merge"), name(end + room(finish) / 2, top + 26, "finish"));
  const label = `${title}: the branch reads ${read}; the stream becomes ${merge}; the output is ${finish}`;
  return el("div", { class: width > 640 ? "card diagram long" : "card diagram" }, el("h3", {}, title), svg("svg", { viewBox: `0 0 ${Math.ceil(width)} ${below + 40}`, role: "img", "aria-label": label }, ...parts));
}
