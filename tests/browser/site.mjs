// Opens pages of the documentation's site in headless Chromium at two widths, searches, and prints what it saw as JSON.
//   node site.mjs ADDRESS FOLDER WORD PAGE...     screenshots go to FOLDER/<page>-<width>.png
import chromium from "@sparticuz/chromium";
import puppeteer from "puppeteer-core";

const [address, folder, word, ...pages] = process.argv.slice(2);
const browser = await puppeteer.launch({
  args: chromium.args,
  executablePath: await chromium.executablePath(),
  headless: "shell",
});
const seen = { requests: new Set(), said: [], pages: {} };
const tab = await browser.newPage();
tab.on("request", (request) => seen.requests.add(request.url().slice(0, 80)));
for (const event of ["console", "pageerror", "dialog"]) tab.on(event, (what) => seen.said.push(`${event}: ${what.text?.() ?? what}`));
for (const page of pages)
  for (const width of [360, 1200]) {
    await tab.setViewport({ width, height: 900, deviceScaleFactor: 1, isMobile: width < 500 });
    await tab.goto(`${address}/${page}`, { waitUntil: "load" });
    if (await tab.$("pre.mermaid, div.mermaid")) await tab.waitForFunction(() => !document.querySelector("pre.mermaid"), { timeout: 60000 });
    await tab.screenshot({ path: `${folder}/${page}-${width}.png` });
    seen.pages[`${page} ${width}`] = await tab.evaluate(() => ({
      scrollWidth: document.documentElement.scrollWidth,
      heading: document.querySelector("h1").innerText,
      drawn: [...document.querySelectorAll("div.mermaid")].map((picture) => picture.getBoundingClientRect().height),
      pictures: [...document.images].map((image) => image.naturalWidth),
    }));
  }
await tab.click("input.md-search__input");
await tab.type("input.md-search__input", word);
await tab.waitForSelector(".md-search-result__item a", { timeout: 60000 });
seen.found = await tab.evaluate(() => [...document.querySelectorAll(".md-search-result__item a")].map((link) => link.href));
await browser.close();
process.stdout.write(JSON.stringify({ ...seen, requests: [...seen.requests] }));
