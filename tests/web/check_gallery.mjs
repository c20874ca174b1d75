// node check_gallery.mjs GALLERY.html   uses the gallery as a reader would: filters, search, a paper, its scales, back, a
//                                       comparison. Exit status 0 all well, 1 a finding, 77 no Chromium here (skipped).
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { openBrowser } from "./browser.mjs";

const findings = [];
// The page draws after the event that asks for it, so a value has five seconds to become what it should be.
async function expect(what, read, wanted) {
  const end = Date.now() + 5_000;
  let is = await read();
  while (is !== wanted && Date.now() < end) {
    await new Promise((wake) => setTimeout(wake, 20));
    is = await read();
  }
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
  await expect("papers", () => rows.count(), data.papers.length);
  for (const key of ["family", "kind", "verdict"]) {
    const value = data.papers[0][key];
    await page.selectOption(`select[name=${key}]`, value);
    await expect(`papers of ${key} ${value}`, () => rows.count(), data.papers.filter((p) => p[key] === value).length);
    await page.selectOption(`select[name=${key}]`, "");
  }
  await page.fill("input[name=words]", "no such paper");
  await expect("papers of no such name", () => rows.count(), 0);
  await page.fill("input[name=words]", data.papers[0].title.slice(0, 6));
  await rows.first().locator("a").click();
  const paper = data.papers[0], results = paper.results[paper.scale];
  await page.waitForFunction((title) => document.getElementById("title").textContent === title, paper.title);
  await expect("claims", () => page.locator(".claims tbody tr").count(), results.claims.length);
  await expect("first verdict", () => page.locator(".claims .badge").first().textContent(), results.claims[0].verdict);
  await expect("first measured", () => page.locator(".claims tbody tr").first().locator("td").nth(2).textContent(), results.claims[0].says);
  await expect("diagrams", () => page.locator(".diagram svg[role=img]").count(), paper.diagrams.length);
  await expect("link", () => page.locator(`a[href="https://arxiv.org/abs/${paper.arxiv}"]`).count(), 1);
  const other = Object.keys(paper.results).find((scale) => scale !== paper.scale);
  await page.click(`.segments button:text-is("${other}")`);
  await expect("scale", () => page.locator(".segments button[aria-pressed=true]").textContent(), other);
  await page.goBack();
  await page.fill("input[name=words]", "");
  await expect("papers again", () => rows.count(), data.papers.length);
  await page.click(`a[href="#/comparison/0"]`);
  const table = page.locator("[aria-label=Comparison] tbody tr"), trained = data.comparisons[0].rows.filter((row) => row.metrics);
  await expect("compared", () => table.count(), trained.length);
  const best = trained.reduce((a, b) => (b.metrics["test.top1"] > a.metrics["test.top1"] ? b : a));
  await expect("best first", () => table.first().locator("th").textContent(), best.name);
} finally {
  await browser.close();
}
for (const finding of findings) console.log(finding);
if (findings.length) process.exitCode = 1;
else console.log("the gallery can be used");
