// Opens a page in headless Chromium, looks at it at each width, and prints what it saw as JSON.
//   node look.mjs PAGE FOLDER WIDTH...     screenshots go to FOLDER/<width>.png (the rest of a long page to <width>-<y>.png), the printed page to FOLDER/print.pdf
// Each of the words in the environment's TYPE (a JSON list) is typed into the search box; screenshots: FOLDER/typed-<i>.png
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import chromium from "@sparticuz/chromium";
import puppeteer from "puppeteer-core";

const [page, folder, ...widths] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await puppeteer.launch({
  args: chromium.args,
  executablePath: await chromium.executablePath(),
  headless: "shell",
});
const TALLEST = 8000; // pixels of a screenshot: from 8192 on Chromium begins again at the top of the page
const seen = { requests: [], said: [], widths: {} };
const tab = await browser.newPage();
tab.on("request", (request) => seen.requests.push(request.url().slice(0, 80)));
for (const event of ["console", "pageerror", "dialog"]) tab.on(event, (what) => seen.said.push(`${event}: ${what.text?.() ?? what}`));
for (const width of widths.map(Number)) {
  await tab.setViewport({ width, height: 800, deviceScaleFactor: 1, isMobile: width < 500 });
  await tab.goto(pathToFileURL(page).href, { waitUntil: "load" });
  const height = await tab.evaluate(() => document.documentElement.scrollHeight);
  for (let y = 0; y < height; y += TALLEST) {
    const clip = { x: 0, y, width, height: Math.min(TALLEST, height - y) };
    await tab.screenshot({ path: `${folder}/${width}${y ? `-${y}` : ""}.png`, clip });
  }
  seen.widths[width] = await tab.evaluate(() => ({
    title: document.title,
    scrollWidth: document.documentElement.scrollWidth,
    height: document.documentElement.scrollHeight,
    scripts: document.scripts.length,
    picture: [...document.images].map((image) => image.naturalWidth),
    headings: [...document.querySelectorAll("h1,h2,h3")].map((heading) => `${heading.tagName} ${heading.innerText}`),
    styled: getComputedStyle(document.querySelector("main")).overflowWrap === "anywhere",
    text: document.body.innerText,
  }));
}
seen.typed = [];
for (const [i, words] of JSON.parse(process.env.TYPE ?? "[]").entries()) {
  await tab.click("input[type=search]", { count: 3 });
  await tab.keyboard.press("Backspace");
  await tab.type("input[type=search]", words);
  await tab.screenshot({ path: `${folder}/typed-${i}.png`, fullPage: true });
  seen.typed.push(await tab.evaluate(() => [
    [...document.querySelectorAll("#cards > li")].filter((card) => card.checkVisibility()).map((card) => card.id),
    document.querySelector("[role=status]").innerText,
  ]));
}
if (await tab.$("a[href^='#']:not([hidden] *)")) {
  await tab.click("a[href^='#']:not([hidden] *)");
  seen.clicked = await tab.evaluate(() => [location.hash, document.querySelector(location.hash)?.checkVisibility() ?? false]);
}
await tab.evaluate(axe);
const found = await tab.evaluate(async () => (await axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"] })).violations);
seen.violations = found.map((one) => ({ id: one.id, nodes: one.nodes.map((node) => node.html.slice(0, 200)) }));
await tab.pdf({ path: `${folder}/print.pdf`, format: "A4" });
await browser.close();
process.stdout.write(JSON.stringify(seen));
