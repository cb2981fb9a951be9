// Gathers what the pages load into dist/: our own script and style as they are, and MapLibre from
// node_modules. MapLibre ships ready-made modules, so there is nothing to bundle.
//
// Without node_modules the pages still get their style and script; they then have no map.
// Files that are already right are left alone: the program that embeds them is then not rebuilt.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");
const maplibre = join(here, "node_modules", "maplibre-gl");

const files = new Map();
for (const name of readdirSync(join(here, "src"))) {
  files.set(name, readFileSync(join(here, "src", name), "utf8"));
}
if (existsSync(maplibre)) {
  for (const name of ["maplibre-gl.mjs", "maplibre-gl-worker.mjs", "maplibre-gl.css"]) {
    const text = readFileSync(join(maplibre, "dist", name), "utf8");
    // The source maps are not shipped: a link to them would only make browsers ask in vain.
    files.set(name, text.replace(/\n\/\/# sourceMappingURL=\S+\s*$/, "\n"));
  }
  files.set("maplibre-gl.LICENSE.txt", readFileSync(join(maplibre, "LICENSE.txt"), "utf8"));
} else {
  console.error("web: MapLibre is not installed (npm ci): the pages will have no map");
}

mkdirSync(dist, { recursive: true });
for (const name of readdirSync(dist)) {
  if (!files.has(name)) rmSync(join(dist, name), { recursive: true });
}
for (const [name, text] of files) {
  const path = join(dist, name);
  if (!existsSync(path) || readFileSync(path, "utf8") !== text) writeFileSync(path, text);
}
