"""Measures the tiles that makers.py made: gaps, overlaps, errors, bytes. Prints tables.

    python measure.py OUT DATA [--only WORD...] [--zooms Z...]

Every tile of zooms 0 to 8, a fixed sample of the deeper ones; what was measured is kept in
OUT/measured.jsonl, by maker and tile, and not measured again until the maker's file is made anew.
Writes OUT/../bench-tiles.json.
"""

import argparse
import hashlib
import json
import pathlib
import random
import sys

from source import Source
from tile import Archive, distances, measure

# Zooms measured whole; of deeper ones a sample of so many tiles.
WHOLE = 8
SAMPLE = 40
# Tiles by zoom whose errors are measured, among those with so many features.
ERRORS = 3
CROWDED = 50
# Units around a tile where the outline is looked at, so that staying away from it works up to the edge.
MARGIN = 32


class Measured:
    """What was measured, kept in a file."""

    def __init__(self, path):
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.rows = {(r["maker"], *r["tile"]): r for r in map(json.loads, lines)}

    def row(self, maker, tile, data, make):
        """A tile's row, from the file if its bytes are those that were measured."""
        digest = hashlib.sha256(data).hexdigest()[:16]
        known = self.rows.get((maker, *tile))
        if not known or known["digest"] != digest:
            known = {"maker": maker, "tile": tile, "digest": digest, **make()}
            self.rows[(maker, *tile)] = known
            with self.path.open("a") as file:
                file.write(json.dumps(known) + "\n")
        return known


def chosen(tiles, zoom):
    """The tiles of a zoom that are measured."""
    of = sorted(t for t in tiles if t[0] == zoom)
    if zoom > WHOLE:
        of = sorted(random.Random(zoom).sample(of, min(SAMPLE, len(of))))
    return of


def crowded(rows):
    """Those of the measured tiles whose errors are measured too."""
    of = sorted(tuple(r["tile"]) for r in rows if r["features"] >= CROWDED)
    return random.Random(len(of)).sample(of, min(ERRORS, len(of)))


def of_zoom(archives, zoom, source, measured, reference):
    """Measures one zoom of all archives; gives the rows by maker."""
    found = {maker: [] for maker in archives}
    for tile in chosen(reference, zoom):
        outline = None
        for maker, archive in archives.items():
            data = archive.tile(*tile)
            if data is None:
                continue
            if outline is None:
                outline = source.outline_in(*tile, MARGIN)
            found[maker].append(measured.row(maker, list(tile), data, lambda d=data: measure(d, outline)))
        print(f"measured {'/'.join(map(str, tile))}", file=sys.stderr)
    return {maker: rows for maker, rows in found.items() if rows}


def errors_of_zoom(archives, zoom, rows, source, measured):
    """How far borders are from the source's, by maker: 99th percentile and most, both ways."""
    found = {maker: [] for maker in archives}
    for tile in crowded(next(iter(rows.values()))):
        lines = None
        for maker in rows:
            data = archives[maker].tile(*tile)
            if data is None:
                continue
            if lines is None:
                lines = source.lines_in(*tile)
            row = measured.row(f"{maker}:error", list(tile), data, lambda d=data: distances(d, lines, zoom))
            found[maker].append(row)
    return found


def total(rows):
    """The rows of a maker's zoom as one."""
    sums = ("features", "vertices", "invalid", "pairs", "overlap", "cracks", "gap", "difference", "stored", "bytes")
    most = ("largest_overlap", "largest_gap")
    one = {key: sum(r[key] for r in rows) for key in sums}
    return {"measured": len(rows), **one, **{key: max(r[key] for r in rows) for key in most}}


def worst(rows):
    """Errors of a few tiles as one: the most of each figure."""
    keys = ("to_source", "from_source")
    return {key: [max(r[key][i] for r in rows) for i in (0, 1)] for key in keys}


def print_runs(runs, archives):
    """What each run took."""
    print("| maker | processor s (load + bake) | wall s | most memory, MiB | archive, MiB |")
    print("|---|---|---|---|---|")
    for maker in archives:
        steps = [s for s in runs.get(maker, {}).values() if isinstance(s, dict)]
        if steps:
            cpu = " + ".join(f"{s['cpu_s']:.1f}" for s in steps)
            memory = max(s["memory_mib"] for s in steps)
            size = runs[maker]["bytes"] / 2**20
            print(f"| {maker} | {cpu} | {sum(s['wall_s'] for s in steps):.0f} | {memory:.0f} | {size:.1f} |")


def print_zooms(table):
    """One line for each zoom and maker."""
    print("\n| zoom | maker | tiles measured, of | largest tile, kB | all, MiB gzipped | overlapping pairs | px² |"
          " gaps | px² | largest, px² | difference, px² | invalid, of | error to source, px (99 %, most) | from source |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for row in table:
        error = row.get("errors")
        apart = [f"{error[k][0]:.2f}, {error[k][1]:.2f}" if error else "–" for k in ("to_source", "from_source")]
        print(f"| {row['zoom']} | {row['maker']} | {row['measured']}, {row['tiles']} | {row['largest'] / 1000:.0f} |"
              f" {row['all'] / 2**20:.2f} | {row['pairs']} | {row['overlap']:.1f} | {row['cracks']} | {row['gap']:.1f} |"
              f" {row['largest_gap']:.2f} | {row['difference']:.0f} | {row['invalid']}, {row['features']} |"
              f" {apart[0]} | {apart[1]} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--only", nargs="*", help="makers whose name begins with one of these words")
    parser.add_argument("--zooms", nargs="*", type=int, default=range(13))
    options = parser.parse_args()
    runs = json.loads((options.out / "runs.json").read_text())
    wanted = [m for m in runs if not options.only or m.startswith(tuple(options.only))]
    archives = {m: Archive(options.out / f"{m}.mbtiles") for m in wanted}
    source = Source(options.data.resolve(), options.out / "outline.wkb")
    measured = Measured(options.out / "measured.jsonl")
    # Whoever is measured, the same tiles: those of our own archive.
    reference = Archive(options.out / "socle.mbtiles").tiles()
    sizes = {maker: archive.zooms() for maker, archive in archives.items()}
    table = []
    for zoom in options.zooms:
        rows = of_zoom(archives, zoom, source, measured, reference)
        errors = errors_of_zoom(archives, zoom, rows, source, measured) if rows else {}
        for maker, of in rows.items():
            size = sizes[maker][zoom]
            row = {"zoom": zoom, "maker": maker, **total(of), "tiles": size["tiles"]}
            row |= {"largest": size["largest"], "all": size["stored"]}
            if errors.get(maker):
                row["errors"] = worst(errors[maker])
            table.append(row)
    print_runs(runs, archives)
    print_zooms(table)
    found = {"data": options.data.name, "runs": {m: runs[m] for m in archives}, "zooms": table}
    (options.out.resolve().parent / "bench-tiles.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
