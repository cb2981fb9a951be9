// Draws maps with MapLibre in headless Chromium and prints, as JSON, what was drawn of each.
//
// node map.mjs MAPLIBRE NODE_MODULES JOBS
//
// MAPLIBRE is the folder of maplibre-gl, NODE_MODULES holds playwright-core and pmtiles, JOBS a file
// with a list of { style, bounds, png }. Sources of a style may be `pmtiles://` addresses.

import { createReadStream, existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { extname, join } from "node:path";

const [maplibre, modules, jobs] = process.argv.slice(2);
const { chromium } = createRequire(join(modules, "x.js"))("playwright-core");

const PAGE = `<!doctype html><meta charset="utf-8">
<link rel="stylesheet" href="/maplibre/maplibre-gl.css">
<style>body { margin: 0 } #map { width: 640px; height: 640px; background: #fff }</style>
<div id="map"></div><script src="/pmtiles.js"></script>`;
const TYPES = { ".mjs": "text/javascript", ".js": "text/javascript", ".css": "text/css" };

const server = createServer(({ url }, answer) => {
  if (url === "/") return answer.setHeader("content-type", "text/html").end(PAGE);
  const file = url === "/pmtiles.js"
    ? join(modules, "pmtiles/dist/pmtiles.js")
    : join(maplibre, "dist", url.replace("/maplibre/", ""));
  if (!existsSync(file)) return answer.writeHead(404).end();
  answer.setHeader("content-type", TYPES[extname(file)] ?? "application/octet-stream");
  createReadStream(file).pipe(answer);
}).listen(0, "127.0.0.1");
await new Promise((ready) => server.once("listening", ready));
const base = `http://127.0.0.1:${server.address().port}/`;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
  ],
});

/** Runs in the page: draws a style, and once more without what it writes. */
async function draw({ style, bounds }) {
  const maplibregl = await import("/maplibre/maplibre-gl.mjs");
  maplibregl.setWorkerUrl(new URL("/maplibre/maplibre-gl-worker.mjs", location.href).href);
  maplibregl.addProtocol("pmtiles", new pmtiles.Protocol().tile);
  const errors = [];
  const map = new maplibregl.Map({
    container: "map",
    style,
    bounds,
    fadeDuration: 0,
    attributionControl: false,
    canvasContextAttributes: { preserveDrawingBuffer: true },
  });
  map.on("error", ({ error }) => errors.push(String(error?.message ?? error)));
  const idle = () => new Promise((done) => map.once("idle", done));
  const pixels = async () => {
    const image = new Image();
    image.src = map.getCanvas().toDataURL();
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext("2d");
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, image.width, image.height);
    context.drawImage(image, 0, 0);
    return new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
  };
  await idle();
  const rendered = {};
  for (const layer of map.getStyle().layers) {
    if (layer.type === "background") continue;
    const found = map.queryRenderedFeatures({ layers: [layer.id] });
    // Tiles of some makers have no ids.
    rendered[layer.id] = new Set(found.map((f) => f.id ?? JSON.stringify(f.properties))).size;
  }
  const all = await pixels();
  const colours = {};
  for (const pixel of all) {
    const hex = [pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255]
      .map((byte) => byte.toString(16).padStart(2, "0")).join("");
    colours[`#${hex}`] = (colours[`#${hex}`] ?? 0) + 1;
  }
  const png = map.getCanvas().toDataURL();
  const words = map.getStyle().layers.filter((l) => l.layout?.["text-field"]);
  for (const { id } of words) map.setLayoutProperty(id, "visibility", "none");
  let written = 0;
  if (words.length > 0) {
    await idle();
    const silent = await pixels();
    written = all.reduce((n, pixel, i) => n + (pixel === silent[i] ? 0 : 1), 0);
  }
  map.remove();
  return { errors, rendered, colours, written, zoom: map.getZoom(), png };
}

const answers = [];
for (const job of JSON.parse(readFileSync(jobs, "utf8"))) {
  const page = await browser.newPage({ viewport: { width: 640, height: 640 } });
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  page.on("pageerror", (error) => console.error(String(error)));
  await page.goto(base);
  const { png, ...answer } = await page.evaluate(draw, job);
  if (job.png) writeFileSync(job.png, Buffer.from(png.split(",")[1], "base64"));
  answers.push({ ...answer, elsewhere: asked.filter((url) => !url.startsWith(base)) });
  await page.close();
}
await browser.close();
server.close();
console.log(JSON.stringify(answers));
