// Numbers with their units, three significant digits.
function scaledText(value, units) {
  if (!Number.isFinite(value)) return "–";
  let at = 0;
  while (at + 1 < units.length && value >= 1000) {
    value /= 1000;
    ++at;
  }
  return `${value >= 100 ? value.toFixed(0) : value.toPrecision(3)}\u202f${units[at]}`;
}

const timeText = (seconds) => (seconds < 1 ? scaledText(seconds * 1e6, ["µs", "ms"]) : scaledText(seconds, ["s"]));
const bytesText = (bytes) => scaledText(bytes, ["B", "kB", "MB", "GB", "TB"]);
const operationsText = (operations) => scaledText(operations, ["", "k", "M", "G", "T"]).trim();
const rateText = (rate) => scaledText(rate / 1e9, ["G/s", "T/s"]);
const bandwidthText = (rate) => scaledText(rate / 1e9, ["GB/s", "TB/s"]);

// Round numbers from 0 to a little more than `most`.
function ticksUpTo(most, wanted = 5) {
  const raw = most / wanted, power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((f) => f * power >= raw);
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => i * step);
}
