// node check_gallery.mjs GALLERY.html   uses the gallery as a reader would: filters, search, a paper, its scales, back, a
//                                       comparison. Exit status 0 all well, 1 a finding, 77 no Chromium here (skipped).
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { openBrowser } from "./browser.mjs";

const findings = [];
function expect(what, is, wanted) {
  if (is !== wanted) findings.push(`${what}: expected ${JSON.stringify(wanted)}, found ${JSON.stringify(is)}`);
}

const browser = await openBrowser();
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => findings.push(`exception: ${error.message}`));
  await page.goto(pathToFileURL(resolve(process.argv[2])).href);
  const data = await page.evaluate(() => JSON.parse(document.getElementById("data").textContent));
  const rows = page.locator(".papers tbody tr");
  expect("papers", await rows.count(), data.papers.length);
  for (const key of ["family", "kind", "verdict"]) {
    const value = data.papers[0][key];
    await page.selectOption(`select[name=${key}]`, value);
    expect(`papers of ${key} ${value}`, await rows.count(), data.papers.filter((p) => p[key] === value).length);
    await page.selectOption(`select[name=${key}]`, "");
  }
  await page.fill("input[name=words]", "no such paper");
  expect("papers of no such name", await rows.count(), 0);
  await page.fill("input[name=words]", data.papers[0].title.slice(0, 6));
  await rows.first().locator("a").click();
  const paper = data.papers[0], results = paper.results[paper.scale];
  await page.waitForFunction((title) => document.getElementById("title").textContent === title, paper.title);
  expect("claims", await page.locator(".claims tbody tr").count(), results.claims.length);
  expect("first verdict", await page.locator(".claims .badge").first().textContent(), results.claims[0].verdict);
  expect("first measured", await page.locator(".claims tbody tr").first().locator("td").nth(2).textContent(), results.claims[0].says);
  expect("diagrams", await page.locator(".diagram svg[role=img]").count(), paper.diagrams.length);
  expect("link", await page.locator(`a[href="https://arxiv.org/abs/${paper.arxiv}"]`).count(), 1);
  const other = Object.keys(paper.results).find((scale) => scale !== paper.scale);
  await page.click(`.segments button:text-is("${other}")`);
  expect("scale", await page.locator(".segments button[aria-pressed=true]").textContent(), other);
  await page.goBack();
  await page.fill("input[name=words]", "");
  expect("papers again", await rows.count(), data.papers.length);
  await page.click(`a[href="#/comparison/0"]`);
  const table = page.locator("[aria-label=Comparison] tbody tr"), trained = data.comparisons[0].rows.filter((row) => row.metrics);
  expect("compared", await table.count(), trained.length);
  const best = trained.reduce((a, b) => (b.metrics["test.top1"] > a.metrics["test.top1"] ? b : a));
  expect("best first", await table.first().locator("th").textContent(), best.name);
} finally {
  await browser.close();
}
for (const finding of findings) console.log(finding);
if (findings.length) process.exitCode = 1;
else console.log("the gallery can be used");
