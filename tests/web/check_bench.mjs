// node check_bench.mjs BENCH.html   uses the page of a benchmark as a reader would: variants, widths, layers under the
//                                   pointer and by keys. Exit status 0 all well, 1 a finding, 77 no Chromium (skipped).
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { openBrowser } from "./browser.mjs";

const findings = [];
const expect = (what, is, wanted) => {
  if (is !== wanted) findings.push(`${what}: expected ${JSON.stringify(wanted)}, found ${JSON.stringify(is)}`);
};
const near = (what, is, wanted, by) => {
  if (!(Math.abs(is - wanted) <= by)) findings.push(`${what}: expected ${wanted} within ${by}, found ${is}`);
};

const browser = await openBrowser();
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => findings.push(`exception: ${error.message}`));
  await page.goto(pathToFileURL(resolve(process.argv[2])).href);
  await page.locator(".waterline svg").waitFor();
  const data = await page.evaluate(() => JSON.parse(document.getElementById("data").textContent));
  const bars = () => page.$$eval(".bar-of-layer", (all) => all.map((bar) => ["x", "y", "width", "height"].map((name) => Number(bar.getAttribute(name)))));
  const rows = page.locator(".layers tbody tr"), tip = page.locator(".waterline .tip");

  expect("dots", await page.locator(".strips circle").count(), data.variants.reduce((sum, v) => sum + v.seconds.length, 0));
  expect("variants", await page.locator("[aria-label='Times and memory of each variant'] tbody tr").count(), data.variants.length);
  for (const [v, variant] of data.variants.entries()) {
    await page.locator("[aria-label=Variant] button").nth(v).click();
    expect(`layers of variant ${v}`, await rows.count(), variant.layers.length);
    for (const key of ["operations", "seconds"]) {
      await page.locator(`[aria-label='Width of a layer'] button:text-is("by ${key === "seconds" ? "time" : key}")`).click();
      await page.locator(".waterline svg").waitFor();
      const drawn = await bars(), total = variant.layers.reduce((sum, layer) => sum + layer[key], 0);
      const room = drawn.reduce((sum, [, , width]) => sum + width, 0);
      const tallest = Math.max(...drawn.map(([, , , height]) => height));
      const rate = (layer) => layer.operations / layer.seconds, fastest = Math.max(...variant.layers.map(rate));
      expect(`bars of variant ${v} by ${key}`, drawn.length, variant.layers.length);
      variant.layers.forEach((layer, i) => {
        near(`width of layer ${i} by ${key}`, drawn[i][2] / room, layer[key] / total, 1e-3);
        if (layer.operations > 0) near(`height of layer ${i}`, drawn[i][3] / tallest, rate(layer) / fastest, 1e-3);
      });
      expect(`roofs of variant ${v}`, await page.locator(".waterline .compute").count(), 1);
    }
  }

  const last = data.variants[data.variants.length - 1], longest = last.layers.reduce((a, b, i) => (b.seconds > last.layers[a].seconds ? i : a), 0);
  expect("tip before", await tip.isVisible(), false);
  await page.locator(".bar-of-layer").nth(longest).hover();
  expect("tip under the pointer", await tip.locator("b").textContent(), last.layers[longest].name);
  await page.locator(".bar-of-layer").nth(longest).click();
  expect("chosen rows", await page.locator(".layers tr.chosen").count(), 1);
  await page.mouse.move(2, 2);
  expect("tip away", await tip.isVisible(), false);
  await page.locator(".waterline").focus();
  await page.keyboard.press("ArrowRight");
  expect("tip by key", await tip.locator("b").textContent(), last.layers[0].name || last.layers[0].kind);
  await page.keyboard.press("ArrowRight");
  expect("tip by second key", await tip.locator("b").textContent(), last.layers[1].name);
  await page.keyboard.press("Escape");
  expect("tip gone", await tip.isVisible(), false);

  await page.locator(".layers thead button:text-is('Time')").click();
  const times = await rows.evaluateAll((all) => all.map((row) => row.cells[3].textContent));
  await page.locator(".layers thead button:text-is('Time')").click();
  const reversed = await rows.evaluateAll((all) => all.map((row) => row.cells[3].textContent));
  expect("sorted both ways", times[0] === reversed[reversed.length - 1] && times[0] !== reversed[0], true);
} finally {
  await browser.close();
}
for (const finding of findings) console.log(finding);
if (findings.length) process.exitCode = 1;
