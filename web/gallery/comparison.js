// The page of a comparison: everything that one network can take, on the same budget.

function comparisonPage(comparison) {
  const done = comparison.rows.filter((row) => !row.refused && !row.failed), group = `${comparison.what} ${comparison.carrier}`;
  const value = (row, name) => finite(row.metrics?.[name]);
  const columns = [
    { title: comparison.what.replace(/s$/, ""), value: (row) => row.name, text: (row) => row.name },
    ...comparison.quality.map((name) => ({ title: name, value: (row) => value(row, name), text: (row) => numberText(value(row, name)) })),
    { title: "Parameters", value: (row) => value(row, "parameters"), text: (row) => numberText(value(row, "parameters")) },
    { title: "Step, ms", value: (row) => value(row, "step_seconds"), text: (row) => numberText(1000 * value(row, "step_seconds")) },
    { title: "Peak memory, MB", value: (row) => row.peak_bytes, text: (row) => numberText(row.peak_bytes / 1e6) },
    { title: "Gradient, first / last site", value: (row) => row.gradient_ratio, text: (row) => numberText(finite(row.gradient_ratio)) },
  ];
  const body = el("tbody");
  let sorted = 1, direction = -1;
  const heads = columns.map((column, k) => el("th", { scope: "col" }, el("button", { type: "button", onclick: () => {
    direction = sorted === k ? -direction : 1;
    sorted = k;
    write();
  } }, column.title)));
  function write() {
    const rows = [...done].sort((a, b) => {
      const [x, y] = [columns[sorted].value(a), columns[sorted].value(b)];
      return direction * (x === y ? 0 : x === null || (y !== null && x > y) ? 1 : -1);
    });
    heads.forEach((head, k) => head.setAttribute("aria-sort", k === sorted ? (direction > 0 ? "ascending" : "descending") : "none"));
    body.replaceChildren(...rows.map((row) => el("tr", {}, columns.map((column, k) => el(k ? "td" : "th", k ? {} : { scope: "row" }, column.text(row))))));
  }
  write();
  const sheet = el("div", { class: "card" }, el("div", { class: "wide-table", tabindex: "0", role: "region", "aria-label": "Comparison" }, el("table", {}, el("thead", {}, el("tr", {}, heads)), body)));
  const jobs = done.map((row) => ({ label: row.name, kind: "train", runs: [{ series: row.series }] }));
  const isProfile = (name) => name === "gradient norm by site";
  const of = (keep) => chartsOf(jobs.map((job) => ({ ...job, runs: job.runs.map((run) => ({ series: run.series.filter((s) => keep(s.name)) })) })), group, () => true);
  const others = comparison.rows.filter((row) => row.refused || row.failed);
  return { title: `${comparison.what} on ${comparison.carrier}`, crumb: "comparison", subtitle: `${comparison.data}, ${comparison.epochs} epochs, ${done.length} ${comparison.what} on the same budget; ${comparison.environment.processor ?? ""}`, nodes: [
    part("Table", "The headings sort.", sheet),
    part("Gradients", "Norm of the gradient of the loss by the stream after each site, at the first step.", el("div", { class: "charts" }, of(isProfile))),
    part("Curves", null, el("div", { class: "charts" }, of((name) => !isProfile(name)))),
    others.length ? part("Not in the table", null, table("claims", "Not in the table", ["Name", "Reason"], others.map((row) => [row.name, row.refused ?? row.failed]))) : null,
    el("p", { class: "back" }, link("#/", "All papers"))].filter(Boolean) };
}
