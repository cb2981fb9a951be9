// Checks styles/*.json: valid MapLibre styles, that keep to what QGIS converts (3.22 and later),
// ask nothing of another server, and name their tiles the way Socle fills them in.
//
// npm run check-styles

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { validateStyleMin } from "@maplibre/maplibre-gl-style-spec";

const folder = join(dirname(fileURLToPath(import.meta.url)), "..", "styles");
const LAYERS = new Set(["background", "fill", "line", "circle"]);
const EXPRESSIONS = new Set([
  "all", "any", "none", "==", "!=", "<", "<=", ">", ">=", "in", "!in", "has", "!has", "get", "match",
  "literal", "to-number", "to-string", "interpolate", "linear", "exponential", "zoom",
]);
const TILES = /^socle:\/\/collections\/([a-z0-9][a-z0-9_-]*)\/tiles$/;

/** Every expression operator in a value. */
function* operators(value) {
  if (!Array.isArray(value)) return;
  if (typeof value[0] === "string") yield value[0];
  for (const part of value) yield* operators(part);
}

function problems(style) {
  const found = validateStyleMin(style).map((error) => error.message);
  for (const word of ["glyphs", "sprite"]) {
    if (style[word]) found.push(`${word}: would be fetched from elsewhere`);
  }
  for (const [id, source] of Object.entries(style.sources)) {
    const named = source.tiles?.map((tile) => TILES.exec(tile)?.[1]);
    if (source.type !== "vector" || named?.length !== 1 || named[0] !== id) {
      found.push(`source ${id}: tiles must be ["socle://collections/${id}/tiles"]`);
    }
  }
  for (const layer of style.layers) {
    if (!LAYERS.has(layer.type)) found.push(`layer ${layer.id}: QGIS has no ${layer.type}`);
    if (layer.source && layer["source-layer"] !== layer.source) {
      found.push(`layer ${layer.id}: source and source-layer are both the collection`);
    }
    const values = [layer.filter, ...Object.values(layer.paint ?? {}), ...Object.values(layer.layout ?? {})];
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
    console.error(`styles/${name}: ${problem}`);
  }
}
process.exitCode = failed ? 1 : 0;
