// Checks styles/*.json: valid MapLibre styles, that keep to what QGIS converts (3.22 and later),
// ask nothing of another server, and name their tiles the way Socle fills them in.
//
// npm run check-styles
// node check-styles.mjs FOLDER     those of a folder, as a server gave them

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { validateStyleMin } from "@maplibre/maplibre-gl-style-spec";

const served = process.argv[2];
const folder = served ?? join(dirname(fileURLToPath(import.meta.url)), "..", "styles");
const LAYERS = new Set(["background", "fill", "line", "circle", "symbol"]);
const EXPRESSIONS = new Set([
  "all", "any", "none", "==", "!=", "<", "<=", ">", ">=", "in", "!in", "has", "!has", "get", "match",
  "literal", "to-number", "to-string", "interpolate", "linear", "exponential", "zoom",
]);
const TILES = served
  ? /^https?:\/\/[^/]+\/.*collections\/([a-z0-9][a-z0-9_-]*)\/tiles\/\{z\}\/\{x\}\/\{y\}\.mvt$/
  : /^socle:\/\/collections\/([a-z0-9][a-z0-9_-]*)\/tiles$/;
/** What tiles carry of a collection beside its features. */
const BESIDE = { symbol: ".labels", line: ".borders" };

/** Every expression operator in a value. */
function* operators(value) {
  if (!Array.isArray(value)) return;
  if (typeof value[0] === "string") yield value[0];
  for (const part of value) yield* operators(part);
}

function problems(style) {
  const found = validateStyleMin(style).map((error) => error.message);
  // Names are written with the fonts of the machine; symbols come from the server itself.
  for (const word of served ? ["glyphs"] : ["glyphs", "sprite"]) {
    if (style[word]) found.push(`${word}: would be fetched from elsewhere`);
  }
  for (const [id, source] of Object.entries(style.sources)) {
    const named = source.tiles?.map((tile) => TILES.exec(tile)?.[1]);
    if (source.type !== "vector" || named?.length !== 1 || named[0] !== id) {
      found.push(`source ${id}: tiles must be those of the collection ${id}`);
    }
  }
  for (const layer of style.layers) {
    if (!LAYERS.has(layer.type)) found.push(`layer ${layer.id}: QGIS has no ${layer.type}`);
    const layers = [layer.source, layer.source + BESIDE[layer.type]];
    if (layer.source && !layers.includes(layer["source-layer"])) {
      found.push(`layer ${layer.id}: source and source-layer are both the collection`);
    }
    // A list of fonts looks like an expression, and is none.
    const { "text-font": _fonts, ...layout } = layer.layout ?? {};
    const values = [layer.filter, ...Object.values(layer.paint ?? {}), ...Object.values(layout)];
    for (const operator of values.flatMap((value) => [...operators(value)])) {
      if (!EXPRESSIONS.has(operator)) found.push(`layer ${layer.id}: QGIS does not convert ${operator}`);
    }
  }
  return found;
}

let failed = false;
for (const name of readdirSync(folder).filter((file) => file.endsWith(".json"))) {
  for (const problem of problems(JSON.parse(readFileSync(join(folder, name), "utf8")))) {
    failed = true;
    console.error(`${name}: ${problem}`);
  }
}
process.exitCode = failed ? 1 : 0;
