"""The polygons that tiles were made of, on the grid of any tile."""

import functools
import math

import numpy
import pyogrio.raw
import shapely

# Units of a tile's side, as all makers here have it.
EXTENT = 4096
# Units of a pixel where a tile is drawn on 512 pixels.
PIXEL = 8
TILE = shapely.box(0, 0, EXTENT, EXTENT)


def grid(geometries, z, x, y):
    """From the world (0 to 1, y south) to units of a tile."""
    side = EXTENT * 2.0**z
    corner = numpy.array([x, y]) * EXTENT
    return shapely.transform(geometries, lambda c: c * side - corner)


def window(z, x, y, margin=0):
    """A tile on the world, `margin` units wider on each side."""
    side = EXTENT * 2.0**z
    west, north = x * EXTENT - margin, y * EXTENT - margin
    return [v / side for v in (west, north, west + EXTENT + 2 * margin, north + EXTENT + 2 * margin)]


def to_world(lon_lat):
    """Web mercator as a square of 1, from degrees."""
    sine = numpy.sin(numpy.radians(lon_lat[:, 1]))
    north = 0.5 - numpy.log((1 + sine) / (1 - sine)) / (4 * math.pi)
    return numpy.column_stack([lon_lat[:, 0] / 360 + 0.5, north])


class Source:
    """All polygons of the file, and the outline of all together."""

    def __init__(self, path, cache):
        self.path, self.cache = path, cache
        self.read = None

    @property
    def polygons(self):
        """The polygons, read when they are first needed."""
        if self.read is None:
            file = f"/vsigzip/{self.path}" if str(self.path).endswith(".gz") else str(self.path)
            _, _, wkb, _ = pyogrio.raw.read(file, columns=[])
            # The few that cross themselves are taken apart, as readers of GeoJSON fill them.
            self.read = shapely.make_valid(shapely.transform(shapely.from_wkb(wkb), to_world))
        return self.read

    @functools.cached_property
    def tree(self):
        """Finds polygons by their boxes."""
        return shapely.STRtree(self.polygons)

    @functools.cached_property
    def parts(self):
        """The outline in parts. Uniting the polygons takes long, so it is kept in a file."""
        if not self.cache.exists():
            self.cache.write_bytes(shapely.to_wkb(shapely.union_all(self.polygons)))
        return shapely.get_parts(shapely.from_wkb(self.cache.read_bytes()))

    @functools.cached_property
    def part_tree(self):
        """Finds parts of the outline."""
        return shapely.STRtree(self.parts)

    def outline_in(self, z, x, y, margin):
        """The outline around a tile, in its units."""
        around = shapely.box(*window(z, x, y, margin))
        parts = self.parts[self.part_tree.query(around)]
        return grid(shapely.union_all(shapely.intersection(parts, around)), z, x, y)

    def lines_in(self, z, x, y, margin=64):
        """The borders around a tile, in its units, as pieces of two points each."""
        near = self.polygons[self.tree.query(shapely.box(*window(z, x, y, margin)))]
        return segments(grid(near, z, x, y), margin)


def rings(geometries):
    """The rings of polygons, of multipolygons, and of what mending made of them."""
    return shapely.get_rings(shapely.get_parts(shapely.get_parts(geometries)))


def segments(polygons, margin=0):
    """The edges of polygons within a tile (`margin` units wider), as an array of [from, to]."""
    coordinates, of = shapely.get_coordinates(rings(polygons), return_index=True)
    edges = numpy.stack([coordinates[:-1], coordinates[1:]], axis=1)[of[:-1] == of[1:]]
    low, high = edges.min(axis=1), edges.max(axis=1)
    kept = (high >= -margin).all(axis=1) & (low <= EXTENT + margin).all(axis=1)
    return edges[kept]
