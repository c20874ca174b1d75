// The page of one paper.

const badge = (verdict) => el("span", { class: `badge ${verdict.replace(" ", "-")}` }, verdict === "none" ? "no verdict" : verdict);
const link = (href, text) => el("a", { href, rel: "noopener" }, text);

function part(title, note, ...content) {
  return el("section", {}, el("div", { class: "section-head" }, el("h2", {}, title), note ? el("p", { class: "soft" }, note) : null), ...content);
}

function table(kind, caption, heads, rows) {
  return el("div", { class: "card" }, el("div", { class: "wide-table", tabindex: "0", role: "region", "aria-label": caption }, el("table", { class: kind }, el("caption", { class: "hidden-text" }, caption),
    el("thead", {}, el("tr", {}, heads.map((text) => el("th", { scope: "col" }, text)))), el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell) => el("td", {}, cell))))))));
}

function claimTable(results) {
  if (results.claims.length === 0) return el("p", { class: "soft" }, `No claim speaks at the scale ${results.scale}; the jobs ran.`);
  return table("claims", "Claims and verdicts", ["Verdict", "Claim", "Measured here", "The paper"], results.claims.map((claim) => [
    badge(claim.verdict), [claim.text, el("code", {}, claim.value)], claim.says, claim.paper || "–"]));
}

// Jobs by metrics: the mean over seeds and, of several, the deviation.
function numberTable(results) {
  const names = [...new Set(results.jobs.flatMap((job) => job.runs.flatMap((run) => Object.keys(run.metrics ?? {}))))];
  const cell = (job, name) => {
    const values = job.runs.filter((run) => run.metrics && name in run.metrics).map((run) => run.metrics[name]);
    if (values.length === 0) return "";
    const numbers = values.map(finite).filter((v) => v !== null);
    if (numbers.length < values.length) return String(values.find((v) => finite(v) === null));
    const m = mean(numbers), deviation = Math.sqrt(mean(numbers.map((v) => (v - m) ** 2)) * numbers.length / Math.max(1, numbers.length - 1));
    return numberText(m) + (deviation > 1e-9 * Math.abs(m) ? ` ± ${numberText(deviation)}` : "");
  };
  const failed = results.jobs.flatMap((job) => job.runs.filter((run) => run.failed).map((run) => el("p", { class: "warn" }, `${job.label}, seed ${run.seed}: ${run.failed}`)));
  return [...failed, table("numbers", "Metrics of the jobs", ["Metric", ...results.jobs.map((job) => job.label)], names.map((name) => [name, ...results.jobs.map((job) => cell(job, name))]))];
}

function resultParts(paper, results) {
  const group = `${paper.slug} ${results.scale}`;
  const curves = chartsOf(results.jobs, group, (job) => job.kind === "train"), probes = chartsOf(results.jobs, group, (job) => job.kind !== "train");
  const stale = results.of_this_recipe ? "" : " The recipe has changed since.";
  const nodes = [part("Verdict", `Scale ${results.scale}, ${results.seeds} ${results.seeds === 1 ? "seed" : "seeds"}, finished ${results.finished.slice(0, 10)} on ${results.environment.processor ?? "an unnamed processor"}.${stale}`, claimTable(results))];
  if (probes.length) nodes.push(part("What the probes see", "Dashed: predicted by theory. Bands: given by the probe, else least and greatest over seeds.", el("div", { class: "charts" }, probes)));
  if (curves.length) nodes.push(part("Curves", "Means over seeds; the bands reach from the least to the greatest.", el("div", { class: "charts" }, curves)));
  nodes.push(part("Numbers", "Means over seeds, with their deviation.", ...numberTable(results)));
  return nodes;
}

function paperPage(paper) {
  const scales = Object.keys(paper.results), area = el("div");
  const chosen = scales.find((scale) => paper.results[scale].verdict === paper.verdict && paper.results[scale].verdict !== "none") ?? scales.at(-1);
  const buttons = scales.map((scale) => el("button", { type: "button", onclick: () => show(scale) }, scale));
  function show(scale) {
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(scales[i] === scale)));
    area.replaceChildren(...resultParts(paper, paper.results[scale]));
  }
  const links = [paper.arxiv ? link(`https://arxiv.org/abs/${paper.arxiv}`, `arXiv:${paper.arxiv}`) : null, paper.reference ? link(`https://github.com/${paper.reference}`, paper.reference) : null].filter(Boolean);
  const prose = (title, ...text) => el("div", { class: "card" }, el("h3", {}, title), el("p", {}, ...text));
  const nodes = [el("div", { class: "prose" }, prose("What it is", paper.summary), prose("What is implemented", paper.implemented), prose("How it is checked", paper.checked),
    ...(paper.findings ? [prose("What was found", paper.findings)] : []),
    prose("Components", ...paper.components.flatMap((name, i) => [i ? ", " : "", el("code", {}, name)]), ...links.flatMap((a) => [el("br"), a])))];
  if (paper.diagrams.length) nodes.push(part("The stream", "Drawn from the connection's description of itself; f is the branch of a site.", el("div", { class: "diagrams" }, paper.diagrams.map(streamDiagram))));
  if (scales.length === 0) nodes.push(part("Verdict", null, el("p", { class: "soft" }, "There are no results yet. ", el("code", {}, `residua reproduce ${paper.slug} --scale smoke`), " makes some.")));
  else nodes.push(el("div", { class: "segments back", role: "group", "aria-label": "Scale" }, buttons), area);
  if (chosen) show(chosen);
  return { title: paper.title, crumb: `${paper.family}, ${paper.kind}`, subtitle: `${paper.authors}, ${paper.year}`, nodes: [...nodes, el("p", { class: "back" }, link("#/", "All papers"))] };
}
