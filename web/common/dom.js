// Elements and numbers as text; foreign text only ever becomes text nodes and attributes.

// el("p", {class: "soft", onclick: f}, "text", child, ...)
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined) continue;
    if (typeof value === "function") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

// The same of a drawing's elements, without handlers.
function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });

// Four significant digits or, where that is more, the whole number.
function numberText(value) {
  if (typeof value !== "number") return value === null || value === undefined ? "–" : String(value);
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e15) return grouped.format(value);
  if (size >= 1e9) return compact.format(value);
  if (size >= 1e3) return grouped.format(value);
  if (size < 1e-3) return value.toExponential(2).replace("-", "\u2212");
  return value.toPrecision(4);
}

function axisText(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3) return value.toExponential().replace(/\.?0+e/, "e").replace("-", "\u2212");
  return size >= 1e4 ? compact.format(value) : String(+value.toPrecision(6));
}

const percentText = (value) => (Number.isFinite(value) ? (100 * value).toFixed(1) + "\u202f%" : "–");

// Calls `draw` when the colours change: other scheme, or print.
function onColoursChange(draw) {
  for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", draw);
}
