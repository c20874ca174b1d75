// The index with its filters, and which page the address asks for.

const data = JSON.parse(document.getElementById("data").textContent);
const filters = { family: "", verdict: "", kind: "", words: "" };

function paperRows() {
  const words = filters.words.toLowerCase().split(/\s+/).filter(Boolean);
  return data.papers.filter((p) => ["family", "verdict", "kind"].every((key) => !filters[key] || p[key] === filters[key]) &&
    words.every((word) => `${p.slug} ${p.title} ${p.authors} ${p.year} ${p.components.join(" ")}`.toLowerCase().includes(word)));
}

function indexPage() {
  const body = el("tbody"), count = el("output", { "aria-live": "polite" });
  const last = (p) => (p.scale ? el("small", {}, `${p.scale}, ${p.results[p.scale].seeds} ${p.results[p.scale].seeds === 1 ? "seed" : "seeds"}`) : null);
  const claims = (p) => (p.scale ? `${p.results[p.scale].claims.filter((c) => c.verdict === "held").length} of ${p.results[p.scale].claims.length}` : "–");
  function write() {
    const rows = paperRows();
    count.textContent = `${rows.length} of ${data.papers.length} papers`;
    body.replaceChildren(...rows.map((p) => el("tr", {}, el("td", {}, el("a", { href: `#/paper/${p.slug}` }, p.title), el("small", {}, p.authors)), el("td", {}, String(p.year)), el("td", {}, p.family),
      el("td", {}, p.kind), el("td", {}, badge(p.verdict), last(p)), el("td", {}, claims(p)))));
  }
  const choice = (key, title) => el("label", {}, title, el("select", { name: key, onchange: (event) => {
    filters[key] = event.target.value;
    write();
  } }, el("option", { value: "" }, "all"), [...new Set(data.papers.map((p) => p[key]))].sort().map((value) => el("option", { value, selected: filters[key] === value ? "" : null }, value))));
  const search = el("label", {}, "Search", el("input", { type: "search", name: "words", value: filters.words, oninput: (event) => {
    filters.words = event.target.value;
    write();
  } }));
  write();
  const sheet = el("div", { class: "card" }, el("div", { class: "wide-table", tabindex: "0", role: "region", "aria-label": "Papers" }, el("table", { class: "papers" },
    el("thead", {}, el("tr", {}, ["Paper", "Year", "Family", "Kind", "Verdict", "Claims held"].map((text) => el("th", { scope: "col" }, text)))), body)));
  const comparisons = data.comparisons.map((c, i) => el("li", {}, el("a", { href: `#/comparison/${i}` }, `${c.what} on ${c.carrier}, ${c.data}`), ` (${c.rows.filter((row) => !row.refused && !row.failed).length} trained)`));
  const verdicts = ["held", "not held", "inconclusive", "failed", "none"].map((v) => [v === "none" ? "no verdict" : v, data.papers.filter((p) => p.verdict === v).length]).filter(([, n]) => n);
  return { title: data.title, crumb: "papers and what became of their claims", subtitle: "Each paper is a recipe: a component, the runs that show it, and claims that are checked on their numbers.", summary: [["papers", data.papers.length], ...verdicts],
    nodes: [...data.refused.map((text) => el("p", { class: "warn" }, text)), el("div", { class: "filters no-print" }, search, choice("family", "Family"), choice("kind", "Kind"), choice("verdict", "Verdict"), count), sheet,
      comparisons.length ? part("Comparisons", "Everything that a network can take, trained on the same budget.", el("ul", {}, comparisons)) : null].filter(Boolean) };
}

function pageOfAddress() {
  const [, kind, name] = decodeURIComponent(location.hash).split("/");
  const paper = kind === "paper" && data.papers.find((p) => p.slug === name);
  if (paper) return paperPage(paper);
  if (kind === "comparison" && data.comparisons[name]) return comparisonPage(data.comparisons[name]);
  return indexPage();
}

function showPage() {
  if (location.hash === "#content") return;
  lineChart.byGroup?.clear();
  const page = pageOfAddress();
  document.title = page.title;
  document.getElementById("title").textContent = page.title;
  document.getElementById("crumb").textContent = page.crumb;
  document.getElementById("subtitle").textContent = page.subtitle;
  document.getElementById("summary").replaceChildren(...(page.summary ?? []).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, numberText(value)))));
  document.getElementById("content").replaceChildren(...page.nodes);
  scrollTo(0, 0);
}

addEventListener("hashchange", showPage);
showPage();
