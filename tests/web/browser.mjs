// The headless Chromium that pages are checked in; exit status 77 where there is none.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";

const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

function skip(reason) {
  console.log(`skipped: ${reason}`);
  process.exit(77);
}

function findChromium() {
  const known = [process.env.RESIDUA_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
  return known.find((path) => path && existsSync(path)) ?? skip("Chromium is not installed");
}

function loadPlaywright() {
  try {
    return createRequire(new URL("../../web/package.json", import.meta.url))("playwright-core");
  } catch {
    return skip("playwright-core is not installed (npm ci --prefix web)");
  }
}

export function openBrowser() {
  const executablePath = findChromium();
  return loadPlaywright().chromium.launch({ executablePath, args: flags });
}
