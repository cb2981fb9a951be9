"""Tiles of an MBTiles file, and what is measured in one of them."""

import gzip
import sqlite3

import mapbox_vector_tile
import numpy
import shapely

from source import PIXEL, TILE, rings, segments

# Units² below which an area is what floating point leaves of none. Vertices of tiles are integers:
# two polygons that touch on the grid overlap by nothing.
NOTHING = 0.01
# Square units of a pixel.
AREA = PIXEL * PIXEL
# Nearer to the outline than this, what is missing is the outline generalised, not a crack.
COAST = 2 * PIXEL


class Archive:
    """An MBTiles file."""

    def __init__(self, path):
        self.file = sqlite3.connect(f"file:{path}?mode=ro", uri=True)

    def tile(self, z, x, y):
        """The bytes of a tile as stored, `None` where there is none."""
        sql = "SELECT tile_data FROM tiles WHERE zoom_level = ? AND tile_column = ? AND tile_row = ?"
        row = self.file.execute(sql, (z, x, 2**z - 1 - y)).fetchone()
        return row and row[0]

    def tiles(self):
        """All its tiles: zoom, column, row from the north."""
        sql = "SELECT zoom_level, tile_column, tile_row FROM tiles"
        return [(z, x, 2**z - 1 - y) for z, x, y in self.file.execute(sql)]

    def zooms(self):
        """By zoom: how many tiles, their bytes as stored, and the largest unpacked."""
        found = {}
        for z, data in self.file.execute("SELECT zoom_level, tile_data FROM tiles"):
            row = found.setdefault(z, {"tiles": 0, "stored": 0, "largest": 0})
            row["tiles"] += 1
            row["stored"] += len(data)
            row["largest"] = max(row["largest"], len(unpacked(data)))
        return dict(sorted(found.items()))


def unpacked(data):
    """A tile without its compression."""
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def polygons(data):
    """The polygons of a tile as they are in it, y south, with the code of each."""
    options = {"y_coord_down": True, "geojson": False}
    layers = mapbox_vector_tile.decode(unpacked(data), default_options=options)
    features = layers["communes"]["features"] if "communes" in layers else []
    codes = numpy.array([f["properties"].get("code", "") for f in features], dtype=str)
    return codes, numpy.array([shapely.geometry.shape(f["geometry"]) for f in features], dtype=object)


def overlaps(inside):
    """The pairs of polygons that overlap, and by how many units²."""
    tree = shapely.STRtree(inside)
    one, other = tree.query(inside, predicate="intersects")
    one, other = one[one < other], other[one < other]
    areas = shapely.area(shapely.intersection(inside[one], inside[other]))
    found = areas > NOTHING
    return one[found], other[found], areas[found]


def gaps(union, outline):
    """Parts of the country, away from its outline, that no polygon covers."""
    # The outline to an eighth of a pixel is enough to stay away from it.
    core = outline.simplify(1).buffer(-COAST, quad_segs=2, join_style="mitre")
    parts = shapely.get_parts(shapely.intersection(core, TILE).difference(union))
    return parts[shapely.area(parts) > NOTHING]


def measure(data, outline):
    """What a tile shows, beside the outline around it: areas in square pixels of 512 a tile."""
    codes, drawn = polygons(data)
    valid = shapely.is_valid(drawn)
    # As a map fills it: rings that cross themselves are taken apart.
    whole = numpy.where(valid, drawn, shapely.make_valid(drawn))
    inside = shapely.intersection(whole, TILE)
    inside = inside[shapely.area(inside) > 0]
    union = shapely.union_all(inside)
    _, _, overlapping = overlaps(inside)
    cracks = shapely.area(gaps(union, outline))
    outline = shapely.intersection(outline, TILE)
    return {
        "bytes": len(unpacked(data)),
        "stored": len(data),
        "features": len(drawn),
        "codes": len(set(codes)),
        # The first vertex of a ring is not repeated in a tile.
        "vertices": int(shapely.get_num_coordinates(drawn).sum()) - len(rings(drawn)),
        "invalid": int((~valid).sum()),
        "pairs": len(overlapping),
        "overlap": max(float(shapely.area(inside).sum() - union.area), 0.0) / AREA,
        "largest_overlap": float(overlapping.max(initial=0)) / AREA,
        "cracks": len(cracks),
        "gap": float(cracks.sum()) / AREA,
        "largest_gap": float(cracks.max(initial=0)) / AREA,
        "difference": float(outline.symmetric_difference(union).area) / AREA,
    }


def distances(data, lines, seed, count=4000):
    """How far the borders of a tile are from those of the source, and the source's from the
    tile's, in pixels: of `count` vertices and middles of edges each, the 99th percentile and most.
    """
    _, drawn = polygons(data)
    ours = segments(shapely.make_valid(drawn))
    # Edges along the border of the tile and of its buffer are cuts, not borders.
    inside = ((ours > 0) & (ours < TILE.bounds[2])).all(axis=(1, 2))
    found = {}
    for name, points, targets in [
        ("to_source", ours[inside], lines),
        ("from_source", lines[((lines > 0) & (lines < TILE.bounds[2])).all(axis=(1, 2))], ours),
    ]:
        points = numpy.concatenate([points[:, 0], points.mean(axis=1)])
        chosen = numpy.random.default_rng(seed).choice(points, min(count, len(points)), replace=False)
        tree = shapely.STRtree(shapely.linestrings(targets))
        _, apart = tree.query_nearest(shapely.points(chosen), all_matches=False, return_distance=True)
        found[name] = [float(numpy.quantile(apart, 0.99)) / PIXEL, float(apart.max()) / PIXEL]
    return found
