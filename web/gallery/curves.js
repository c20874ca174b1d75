// Series of several seeds as one line with a band.

const finite = (v) => (typeof v === "number" && Number.isFinite(v) ? v : null);
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

// runs: [{x, <key>}] of one series, one for each seed -> {x, y, low, high}: mean, least and greatest where seeds agree in x.
function bandOf(runs, key) {
  const at = new Map();
  for (const run of runs) run.x.forEach((x, i) => {
    const value = finite(run[key]?.[i]);
    if (!at.has(x)) at.set(x, []);
    if (value !== null) at.get(x).push(value);
  });
  const x = [...at.keys()].filter((v) => finite(v) !== null).sort((a, b) => a - b);
  const column = (f) => x.map((v) => (at.get(v).length ? f(at.get(v)) : null));
  const band = { x, y: column(mean) };
  if (runs.length > 1) Object.assign(band, { low: column((v) => Math.min(...v)), high: column((v) => Math.max(...v)) });
  return band;
}

// The lines of one named series of a job: measured with its band, predicted dashed in the same colour.
function linesOf(job, name, colour) {
  const runs = job.runs.filter((run) => !run.failed).map((run) => run.series.find((s) => s.name === name)).filter(Boolean);
  if (runs.length === 0) return [];
  const lines = [], own = runs[0];
  if (own.measured) {
    const line = { ...bandOf(runs, "measured"), name: job.label, colour };
    if (own.low && own.high) Object.assign(line, { low: bandOf(runs, "low").y, high: bandOf(runs, "high").y });
    lines.push(line);
  }
  if (own.predicted) lines.push({ x: bandOf(runs, "predicted").x, y: bandOf(runs, "predicted").y, name: `${job.label}, predicted`, colour, dashed: true });
  return lines.filter((line) => line.y.some((v) => v !== null));
}

// One chart for each name of a series, over all jobs that have it; `wanted` chooses jobs.
function chartsOf(jobs, group, wanted) {
  const names = [...new Set(jobs.filter(wanted).flatMap((job) => job.runs.flatMap((run) => (run.series ?? []).map((s) => s.name))))];
  return names.flatMap((name) => {
    const series = jobs.filter(wanted).flatMap((job, i) => linesOf(job, name, i));
    if (series.length === 0) return [];
    const about = jobs.flatMap((job) => job.runs).flatMap((run) => run.series ?? []).find((s) => s.name === name);
    const isLogX = about.log_x && series.every((s) => s.x.every((x) => x > 0));
    return [lineChart({ title: about.y_label && !name.includes(about.y_label) ? `${name} (${about.y_label})` : name, label: about.x_label || "x", group: `${group} ${name}`,
      series, logX: isLogX, logY: about.log_y, smoothing: series.some(isNoisy) ? 0.8 : 0 }).node];
  });
}
