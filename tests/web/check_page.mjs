// node check_page.mjs [--shots FOLDER] PAGE.html[#PLACE]...   opens each page in headless Chromium and fails on any console
//                                                     message, exception, request beyond the file, blank or cut-off view
// node check_page.mjs --self-test PAGE.html           breaks the page in known ways and fails unless each is noticed
// Exit status: 0 all well, 1 a finding, 2 wrong use, 77 no Chromium or no playwright-core here (skipped).
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { openBrowser } from "./browser.mjs";

const views = [
  { name: "light", width: 1280, height: 900, colorScheme: "light" },
  { name: "dark", width: 1280, height: 900, colorScheme: "dark" },
  { name: "phone", width: 390, height: 844, colorScheme: "light", deviceScaleFactor: 2, isMobile: true, hasTouch: true },
  { name: "phone-dark", width: 390, height: 844, colorScheme: "dark", deviceScaleFactor: 2, isMobile: true, hasTouch: true },
];
// Runs in the page: counts distinct colours and the mean brightness of a PNG.
async function measurePicture(base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const pixels = new Uint32Array(context.getImageData(0, 0, bitmap.width, bitmap.height).data.buffer);
  const colours = new Set();
  let brightness = 0;
  for (const pixel of pixels) {
    colours.add(pixel);
    brightness += ((pixel & 255) + ((pixel >> 8) & 255) + ((pixel >> 16) & 255)) / 765;
  }
  return { colours: colours.size, brightness: brightness / pixels.length };
}

// Runs in the page: pixels drawn on each visible canvas, and how many of them are coloured, not grey.
function measureCanvases() {
  return [...document.querySelectorAll("canvas")].filter((canvas) => canvas.offsetParent).map((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let drawn = 0, coloured = 0;
    for (let i = 0; i < data.length; i += 4) {
      if (data[i + 3] === 0) continue;
      ++drawn;
      if (Math.max(data[i], data[i + 1], data[i + 2]) - Math.min(data[i], data[i + 1], data[i + 2]) > 50) ++coloured;
    }
    return { name: canvas.closest("[aria-label]")?.getAttribute("aria-label") ?? "canvas", drawn, coloured };
  });
}

// Uses the page as a reader would, so that the handlers run too.
async function use(page) {
  for (const plot of await page.locator(".chart-plot:visible").all()) {
    await plot.focus();
    for (const key of ["ArrowRight", "ArrowRight", "+", "-", "0"]) await plot.press(key);
  }
  for (const button of await page.locator(".chart-tools button:visible, .chart-keys button:visible, thead button:visible").all())
    if (await button.isVisible()) await button.click();
  const matrix = page.locator(".matrix-plot canvas");
  if (await matrix.count()) {
    const { width, height } = await matrix.boundingBox();
    await matrix.hover({ position: { x: width - 8, y: height - 8 } });
    if (!(await page.locator(".tip").isVisible())) return ["the confusion matrix says nothing under the pointer"];
    await matrix.focus();
    await matrix.press("ArrowRight");
  }
  for (const details of await page.locator("details > summary").all()) await details.click();
  return [];
}

async function checkView(browser, path, view, shots) {
  const { name, width, height, ...options } = view;
  const context = await browser.newContext({ viewport: { width, height }, ...options });
  context.setDefaultTimeout(120_000);  // a loaded machine is slow, not wrong
  const page = await context.newPage();
  const [file, place] = path.split("#"), findings = [], url = pathToFileURL(resolve(file)).href;
  page.on("console", (message) => findings.push(`console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => findings.push(`exception: ${error.message}`));
  page.on("requestfailed", (request) => findings.push(`failed request: ${request.url().slice(0, 120)}`));
  page.on("request", (request) => {
    if (request.url().split("#")[0] !== url && !request.url().startsWith("data:")) findings.push(`request beyond the file: ${request.url().slice(0, 120)}`);
  });
  await page.goto(place ? `${url}#${place}` : url, { waitUntil: "load" });
  await page.waitForTimeout(300);
  for (const { name: canvas, drawn, coloured } of await page.evaluate(measureCanvases))
    if (drawn < 50 || coloured < 20) findings.push(`blank canvas '${canvas}': ${drawn} pixels drawn, ${coloured} coloured`);
  const wanted = await page.evaluate(() => JSON.parse(document.getElementById("data")?.textContent ?? "{}"));
  const canvases = await page.locator("canvas").count();
  if ((wanted.series?.some((s) => s.x.length) || wanted.confusion?.size || place) && canvases === 0) findings.push("no canvas although there is data to draw");
  const overflow = await page.evaluate((room) => document.documentElement.scrollWidth - room, width);
  if (overflow > 0) findings.push(`the page is ${overflow} px wider than the window`);

  const shot = await page.screenshot({ fullPage: false });
  const blank = await context.newPage();
  const { colours, brightness } = await blank.evaluate(measurePicture, shot.toString("base64"));
  await blank.close();
  if (colours < 16) findings.push(`the view is blank: ${colours} colours`);
  if ((view.colorScheme === "dark") !== brightness < 0.5) findings.push(`brightness ${brightness.toFixed(2)} in the ${view.colorScheme} scheme`);
  if (shots) await page.screenshot({ fullPage: true, path: join(shots, `${basename(path).replaceAll(/\.html|#|\//g, "")}-${name}.png`) });
  if (view.colorScheme === "light") findings.push(...(await use(page)));
  await page.emulateMedia({ media: "print" });
  await page.waitForTimeout(50);
  await context.close();
  return findings.map((finding) => `${basename(path)} (${name}): ${finding}`);
}

async function check(browser, paths, shots, only = views) {
  const findings = [];
  for (const path of paths) for (const view of only) findings.push(...(await checkView(browser, path, view, shots)));
  return findings;
}

// Each way of breaking the page and what the check must say of it.
const breakages = [
  ["an exception", (html) => html.replace("</body>", "<script>null.x</script></body>"), /exception/],
  ["an exception in a handler", (html) => html.replace("</body>", "<script>onkeydown = () => { throw Error('late'); }</script></body>"), /exception: late/],
  ["a console error", (html) => html.replace("</body>", "<script>console.error('injected')</script></body>"), /console error: injected/],
  ["a missing picture", (html) => html.replace(/<meta http-equiv[^>]*>/, "").replace("</body>", "<img src='missing.png'></body>"), /failed request/],
  ["a foreign script", (html) => html.replace(/<meta http-equiv[^>]*>/, "").replace("</body>", "<script src='http://127.0.0.1:9/x.js'></script></body>"), /request beyond the file/],
  ["a foreign script behind the policy", (html) => html.replace("</body>", "<script src='http://127.0.0.1:9/x.js'></script></body>"), /console error/],
  ["a blank page", () => "<!doctype html><title>x</title>", /the view is blank/],
  ["wiped canvases", (html) => html.replace("</body>", "<script>setTimeout(() => document.querySelectorAll('canvas').forEach((c) => { c.width = c.width; }), 200)</script></body>"), /blank canvas/],
  ["a script that draws nothing", (html) => html.replace("function lineChart(", "function otherChart("), /exception: lineChart/],
  ["too wide a page", (html) => html.replace("</body>", "<div style='width: 3000px'>.</div></body>"), /wider than the window/],
  ["no dark scheme", (html) => html.replaceAll("prefers-color-scheme: dark", "prefers-color-scheme: none"), /dark scheme/],
];

async function selfTest(browser, path) {
  const html = readFileSync(path, "utf8"), folder = mkdtempSync(join(tmpdir(), "check_page-")), missed = [];
  try {
    for (const [name, breakPage, expected] of breakages) {
      const broken = join(folder, "broken.html");
      writeFileSync(broken, breakPage(html));
      const findings = await check(browser, [broken], null, [views[name.includes("dark") ? 1 : 0]]);
      if (!findings.some((finding) => expected.test(finding))) missed.push(`not noticed: ${name}; found: ${findings.join("; ") || "nothing"}`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return missed;
}

const words = process.argv.slice(2);
const isSelfTest = words[0] === "--self-test", shots = words[0] === "--shots" ? words[1] : null;
const paths = words.slice(isSelfTest ? 1 : shots ? 2 : 0);
if (paths.length === 0) {
  console.error("usage: check_page.mjs [--self-test | --shots FOLDER] PAGE.html...");
  process.exit(2);
}
if (shots) mkdirSync(shots, { recursive: true });
const browser = await openBrowser();
try {
  const findings = isSelfTest ? await selfTest(browser, paths[0]) : await check(browser, paths, shots);
  for (const finding of findings) console.log(finding);
  if (findings.length) process.exitCode = 1;
  else console.log(isSelfTest ? `all ${breakages.length} breakages noticed` : `${paths.length} pages, ${views.length} views each: no finding`);
} finally {
  await browser.close();
}
