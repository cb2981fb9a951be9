// Reads every tile of a folder (z/x/y.mvt) with @mapbox/vector-tile and prints, as JSON, how many
// features each layer of each zoom holds: [zoom, layer, features]. Fails on a tile whose geometry
// is not what GeoJSON makes of it: a polygon without an exterior ring, a ring that is not closed.
//
// node vector-tile.mjs NODE_MODULES TILES

import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, tiles] = process.argv.slice(2);
const load = async (name) => {
  const require = createRequire(join(modules, "x.js"));
  return import(pathToFileURL(require.resolve(name)).href);
};
const { VectorTile } = await load("@mapbox/vector-tile");
const pbf = await load("pbf");
const Reader = pbf.PbfReader ?? pbf.default;

const counts = new Map();
for (const z of readdirSync(tiles)) {
  for (const x of readdirSync(join(tiles, z))) {
    for (const file of readdirSync(join(tiles, z, x))) {
      const y = file.replace(".mvt", "");
      const place = `${z}/${x}/${y}`;
      const tile = new VectorTile(new Reader(readFileSync(join(tiles, z, x, file))));
      for (const [name, layer] of Object.entries(tile.layers)) {
        for (let i = 0; i < layer.length; i++) {
          check(layer.feature(i), [Number(x), Number(y), Number(z)], `${place} ${name} ${i}`);
        }
        const key = JSON.stringify([Number(z), name]);
        counts.set(key, (counts.get(key) ?? 0) + layer.length);
      }
    }
  }
}
console.log(JSON.stringify([...counts].map(([key, n]) => [...JSON.parse(key), n])));

function check(feature, [x, y, z], place) {
  const { geometry, properties } = feature.toGeoJSON(x, y, z);
  if (!geometry || !properties || !Number.isSafeInteger(feature.id)) {
    throw new Error(`${place}: no geometry, properties or id`);
  }
  const { type, coordinates } = geometry;
  if (!type.endsWith("Polygon")) return;
  const polygons = type === "Polygon" ? [coordinates] : coordinates;
  for (const rings of polygons) {
    if (rings.length === 0) throw new Error(`${place}: a polygon without rings`);
    for (const ring of rings) {
      const [first, last] = [ring[0], ring.at(-1)];
      if (ring.length < 4 || first[0] !== last[0] || first[1] !== last[1]) {
        throw new Error(`${place}: a ring that is not closed`);
      }
    }
  }
}
