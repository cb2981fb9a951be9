#!/usr/bin/env python3
"""Writes what fuzzing starts from into seeds/: small inputs of every form that is understood, and the
hostile ones that the rules name. Files it does not know (inputs that a fault was found with) stay.

    python3 fuzz/seeds.py
"""

import gzip
import io
import json
import os
import sqlite3
import struct
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
DEMO = HERE.parent / "config/demo/data"


def seed(target, name, content):
    folder = HERE / "seeds" / target
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        content = content.encode()
    (folder / name).write_bytes(content)


def list_of(target, contents):
    for number, content in enumerate(contents, 1):
        seed(target, f"{number:02}", content)


# --- filters

TEXTS = [
    "nom = 'a' AND n > 2 OR NOT ok",
    "nom LIKE 'Ét%' AND \"x \"\"y\"\" 'z'\" IS NOT NULL",
    "nom ILIKE 'a%' OR CASEI(ACCENTI(nom)) IN ('ete', casei('X'))",
    "n BETWEEN 1 AND 3 AND taux * 2 + n % 3 DIV 2 ^ 2 <> -1.5e3",
    "jour > DATE('2024-12-31') AND vu <= TIMESTAMP('2025-01-31T12:00:00.123Z')",
    "T_DURING(INTERVAL(jour, '..'), INTERVAL('2024-01-01', '2025-01-01'))",
    "T_AFTER(vu, DATE('2020-01-01')) OR T_MEETS(jour, INTERVAL('..', '2025-01-01'))",
    "S_INTERSECTS(geom, POLYGON((2 50, 4 50, 4 51, 2 51, 2 50), (3 50.2, 3.1 50.2, 3 50.3, 3 50.2)))",
    "S_WITHIN(geometry, BBOX(170, -10, 0, -170, 10, 9)) OR S_DISJOINT(geom, POINT Z (3 50 1))",
    "S_TOUCHES(geom, MULTIPOINT(3 50, 4 51)) AND S_CROSSES(geom, MULTILINESTRING((0 0, 1 1), (2 2, 3 3)))",
    "S_OVERLAPS(GEOMETRYCOLLECTION(POINT(1 2), LINESTRING(0 0, 1 1)), geom)",
    "S_EQUALS(geom, MULTIPOLYGON(((0 0, 1 0, 1 1, 0 0)), ((5 5, 6 5, 6 6, 5 5))))",
    "A_CONTAINS(liste, ('a', 1)) OR A_OVERLAPS(liste, 'b') AND A_EQUALS(('a'), liste)",
    "TERRITORY('dep:59,com:62041') AND NOT TERRITORY('epci:200093201', 'within')",
    "'2020-01-05' IN (jour, nom) AND 3 IN (n, taux, 2.5) OR nom IS NULL",
    "(1 = 1 AND n = 2) OR taux > 1e308 * 10 OR n = 1/0",
    "nom = 'L''Haÿ \\\\ x' AND code <> '\U0001f600'",
]
list_of("cql2_text", TEXTS)
seed("cql2_text", "parentheses", "(" * 5000 + "nom = 'a'" + ")" * 5000)
seed("cql2_text", "parentheses-allowed", "(" * 60 + "nom = 'a'" + ")" * 60)
seed("cql2_text", "not", "NOT " * 2000 + "nom = 'a'")
seed("cql2_text", "or", "nom = 'a'" + " OR n = 1" * 1500)
seed("cql2_text", "plus", "n = 1" + "+1" * 7000)
seed("cql2_text", "signs", "n = " + "-(" * 60 + "1" + ")" * 60)


def op(name, *args):
    return {"op": name, "args": list(args)}


def prop(name):
    return {"property": name}


def deep(name, levels, inside):
    for _ in range(levels):
        inside = f'{{"op":"{name}","args":[{inside}]}}'
    return inside


list_of(
    "cql2_json",
    [
        json.dumps(j, ensure_ascii=False)
        for j in [
            op("and", op("=", prop("nom"), "a"), op("not", op(">", prop("n"), 2.5)), prop("ok")),
            op("like", op("casei", prop("nom")), op("accenti", "é%")),
            op("in", prop("n"), [1, 2, op("+", prop("n"), 1)]),
            op("between", prop("taux"), -1, 1e3),
            op("isNull", prop("liste")),
            op("s_intersects", prop("geom"), {"type": "Point", "coordinates": [3, 50, 1]}),
            op("s_within", prop("geom"), {"bbox": [2, 50, 4, 51]}),
            op("s_crosses", prop("geom"), {"type": "MultiLineString", "coordinates": [[[0, 0], [1, 1]]]}),
            op("s_equals", prop("geom"), {"type": "GeometryCollection", "geometries": [
                {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}]}),
            op("t_during", prop("jour"), {"interval": ["..", "2025-01-01"]}),
            op("t_after", prop("vu"), {"timestamp": "2025-01-31T12:00:00Z"}),
            op("=", prop("jour"), {"date": "2025-01-01"}),
            op("a_contains", prop("liste"), ["a", True, None]),
            op("territory", "dep:59", "within"),
            op("or", op("=", op("div", prop("n"), 0), op("^", 2, prop("taux"))), False),
        ]
    ],
)
seed("cql2_json", "deep", deep("not", 400, "true"))
seed("cql2_json", "deep-allowed", deep("not", 15, "true"))
seed("cql2_json", "brackets", "[" * 5000 + "]" * 5000)

GML = 'xmlns:gml="http://www.opengis.net/gml/3.2"'
FES = f'xmlns:fes="http://www.opengis.net/fes/2.0" {GML}'


def fes(inside):
    return f"<fes:Filter {FES}>{inside}</fes:Filter>"


def compare(name, field, value, more=""):
    return (
        f"<fes:{name}{more}><fes:ValueReference>{field}</fes:ValueReference>"
        f"<fes:Literal>{value}</fes:Literal></fes:{name}>"
    )


SQUARE = (
    '<gml:Polygon gml:id="a" srsName="urn:ogc:def:crs:EPSG::4326"><gml:exterior><gml:LinearRing>'
    "<gml:posList>50 2 50 4 51 4 50 2</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon>"
)
FILTERS = [
    fes(compare("PropertyIsEqualTo", "socle:nom", "&#201;t&eacute;"[:6], ' matchCase="false"')),
    fes(compare("PropertyIsGreaterThanOrEqualTo", "n", "2")),
    fes(f"<fes:And>{compare('PropertyIsLessThan', 'taux', '1.5')}<fes:Not>"
        f"{compare('PropertyIsNotEqualTo', 'ok', 'true')}</fes:Not></fes:And>"),
    fes('<fes:PropertyIsLike wildCard="*" singleChar="?" escapeChar="!"><fes:ValueReference>nom'
        "</fes:ValueReference><fes:Literal>Ét!*?*</fes:Literal></fes:PropertyIsLike>"),
    fes("<fes:PropertyIsNull><fes:ValueReference>liste</fes:ValueReference></fes:PropertyIsNull>"),
    fes("<fes:PropertyIsBetween><fes:ValueReference>n</fes:ValueReference><fes:LowerBoundary><fes:Literal>1"
        "</fes:Literal></fes:LowerBoundary><fes:UpperBoundary><fes:Literal>3</fes:Literal></fes:UpperBoundary>"
        "</fes:PropertyIsBetween>"),
    fes(f"<fes:Intersects><fes:ValueReference>geometry</fes:ValueReference>{SQUARE}</fes:Intersects>"),
    fes('<fes:BBOX><gml:Envelope srsName="EPSG:2154"><gml:lowerCorner>700000 7000000</gml:lowerCorner>'
        "<gml:upperCorner>710000 7100000</gml:upperCorner></gml:Envelope></fes:BBOX>"),
    fes("<fes:During><fes:ValueReference>jour</fes:ValueReference><gml:TimePeriod><gml:beginPosition>2024-01-01"
        "</gml:beginPosition><gml:endPosition>2026-01-01T00:00:00Z</gml:endPosition></gml:TimePeriod></fes:During>"),
    fes('<fes:ResourceId rid="lieux.1"/><fes:ResourceId rid="lieux.2"/>'),
    '<Filter><PropertyIsEqualTo><PropertyName>code</PropertyName><Literal><![CDATA[59350]]></Literal>'
    "</PropertyIsEqualTo></Filter>",
    '<ogc:Filter xmlns:ogc="http://www.opengis.net/ogc"><ogc:BBOX><gml:Box><gml:coordinates>2,50 4,51'
    "</gml:coordinates></gml:Box></ogc:BBOX></ogc:Filter>",
    '<Filter><Within><PropertyName>geom</PropertyName><MultiSurface><surfaceMember><Polygon><exterior>'
    "<LinearRing><posList srsDimension='3'>50 2 0 50 4 0 51 4 0 50 2 0</posList></LinearRing></exterior>"
    "</Polygon></surfaceMember></MultiSurface></Within></Filter>",
]
ENTITIES = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><Filter>&b;</Filter>'
EXTERNAL = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><Filter>&x;</Filter>'
DEEP = "<And>" * 5000
MANY = "<Filter><Or>" + "<Not/>" * 10000 + "</Or></Filter>"
list_of("fes", FILTERS)
for name, document in [("entities", ENTITIES), ("external", EXTERNAL), ("deep", DEEP), ("many", MANY)]:
    seed("fes", name, document)

# --- addresses

list_of(
    "parameters",
    [
        "2,47,3,48",
        "177,65,0,-177,70,9",
        "2024-01-01T00:00:00Z/..",
        "../2025-12-31",
        "0000-01-01T00:00:00Z/9999-12-31T23:59:59.999999999+14:00",
        "2024-02-30/",
        "20261124T060312Z-3f9a01c2.a1b2c3d4~12000~a0-d12",
        "-n, +nom,x \"y\" 'z'",
        "EPSG:2154\n700000,7000000,710000,7100000",
        "http://www.opengis.net/def/crs/EPSG/0/4326\n47,2,48,3",
        "urn:ogc:def:crs:OGC:1.3:CRS84\n-180,-90,180,90",
        "EPSG:3857\n-20037508,-20048966,20037508,20048966",
        'PROJCS["RGF93_Lambert_93",GEOGCS["GCS_RGF93",DATUM["D_RGF_1993",SPHEROID["GRS_1980",6378137.0,'
        '298.257222101]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],PROJECTION['
        '"Lambert_Conformal_Conic"],PARAMETER["False_Easting",700000.0],PARAMETER["False_Northing",6600000.0],'
        'PARAMETER["Central_Meridian",3.0],PARAMETER["Standard_Parallel_1",49.0],PARAMETER["Standard_Parallel_2",'
        '44.0],PARAMETER["Latitude_Of_Origin",46.5],UNIT["Meter",1.0]]\n700000,6600000,700001,6600001',
        "999999999999999999999999",
        "f=json&limit=10&bbox=1%2C2%2C3%2C4&é=%C3%A9&a+b=%ff",
        "-1.7976931348623157e308",
        "9223372036854775807",
    ],
)
list_of(
    "items",
    [
        "bbox=2,50,4,51\nlimit=2\nf=json",
        "datetime=2025-01-02/..\nsortby=-n,nom\nproperties=nom,n",
        "crs=http://www.opengis.net/def/crs/EPSG/0/2154\nbbox=700000,7000000,720000,7100000\nbbox-crs=EPSG:2154",
        "filter=nom LIKE 'Ét%' AND n > 1\nfilter-lang=cql2-text\nresultType=hits",
        "filter={\"op\":\"=\",\"args\":[{\"property\":\"n\"},2]}\nfilter-lang=cql2-json",
        "filter=S_INTERSECTS(geom, BBOX(7000000,700000,8000000,800000))\nfilter-crs=EPSG:3857",
        "territory=dep:59,com:62041\nterritory-mode=within\nf=csv",
        "territoire=com:59355\nvintage=2018\nterritory-mode=clip\nf=fgb",
        "offset=1\nlimit=1\nskipGeometry=true\nf=ndjson",
        "cursor=20261124T060312Z-3f9a01c2.a1b2c3d4~2\nf=geojsonseq",
        "n=2\nnom=Été 2\nzoom-level=3",
        "x \"y\" 'z'=a\nf=html",
    ],
)
list_of(
    "scope",
    [
        "dep-59", "dep-59-within", "dep-59-clip", "fr", "fr:metro", "epci-200093201+epci-245900428",
        "com-93059@2018", "epci-200012060@2019-clip", "com-59355", "59350", "200093201", "arm-75101",
        "comd-14712", "canton-5901", "qpv-QN05901M", "reg:32,dep:62", "Lille", "saint-denis", "2a004",
        "+".join(["com-59350"] * 20), "dep-59@99999", "territoires",
    ],
)
GET = "GET {} HTTP\nHost: example.fr\nAccept: {}\nAccept-Language: fr,en;q=0.5\n"
PATHS = [
    ("/", "text/html"), ("/conformance", "application/json"), ("/api?f=json", "*/*"), ("/api?f=html", "*/*"),
    ("/collections?f=json", "*/*"), ("/collections/communes", "text/html"),
    ("/t/dep-59-clip/collections/communes/items?limit=1", "application/geo+json"),
    ("/collections/lieux/items/59350?f=html", "*/*"), ("/collections/lieux/queryables", "application/schema+json"),
    ("/collections/lieux/schema?f=html", "*/*"), ("/collections/lieux/sortables", "*/*"),
    ("/collections/communes/stats?by=epci&territory=reg:32", "*/*"),
    ("/collections/communes/tiles/WebMercatorQuad/9/173/260", "*/*"),
    ("/collections/communes/tiles/9/260/173.mvt?filter=n>1", "*/*"),
    ("/collections/communes/tiles/9/260/173.geojson", "*/*"), ("/tiles/9/260/173.mvt?collections=communes,lieux", "*/*"),
    ("/collections/communes/tilejson.json", "*/*"), ("/tileMatrixSets/WebMercatorQuad", "*/*"), ("/styles/communes", "*/*"),
    ("/collections/lieux/versions", "*/*"), ("/collections/lieux/export/estimate?f=gpkg", "*/*"),
    ("/territories?q=lil&level=epci", "*/*"), ("/territories/com-59350", "text/html"),
    ("/territories/com-59350/history", "*/*"), ("/table?by=com&territory=dep:59&f=csv", "*/*"), ("/feed.atom", "*/*"),
    ("/wfs?service=WFS&request=GetCapabilities", "*/*"), ("/health/ready", "*/*"), ("/harvest", "text/html"),
    ("/problems/invalid", "*/*"), ("/functions", "*/*"), ("/assets/map.js", "*/*"), ("/collection", "*/*"),
    ("/collections/communes/layer.qlr", "*/*"),
]
list_of("requests", [GET.format(*pair) for pair in PATHS])
seed("requests", "conditions", GET.format("/collections/lieux/items", "*/*")
     + 'If-None-Match: "a", W/"b", *\nIf-Modified-Since: Sat, 29 Oct 1994 19:43:31 GMT\nRange: bytes=0-1,-5\n'
     'If-Range: "a"\nAccept-Encoding: gzip;q=0.5, br, *;q=0\nOrigin: https://a.example\nForwarded: for=1.2.3.4\n'
     "X-Forwarded-For: 1.2.3.4\nX-Forwarded-Proto: https\nX-Forwarded-Host: b.example\nAuthorization: Basic YTpi\n")
seed("requests", "table", "POST /territories/resolve?add=epci,dep HTTP\nHost: a\nContent-Type: text/csv\n\n\0code;n\n59350;1\n01001;2\n")
seed("requests", "form", "POST /territories/resolve HTTP\nHost: a\nContent-Type: multipart/form-data; boundary=x\n\n\0"
     '--x\r\nContent-Disposition: form-data; name="table"\r\n\r\ncode\n59350\r\n--x\r\nContent-Disposition: form-data;'
     ' name="add"\r\n\r\nepci\r\n--x--\r\n')
seed("requests", "options", "OPTIONS /t/dep-59/collections HTTP\nHost: a\nAccess-Control-Request-Method: GET\n")
seed("requests", "head", "HEAD /collections/communes/tiles/9/260/173.pbf HTTP\nHost: a\n")
WFS = 'xmlns:wfs="http://www.opengis.net/wfs/2.0"'
list_of(
    "wfs",
    [
        "service=WFS&request=GetCapabilities&acceptversions=2.0.0,1.1.0&sections=FeatureTypeList",
        "service=WFS&version=1.0.0&request=GetCapabilities",
        "service=WFS&version=2.0.0&request=DescribeFeatureType&typenames=socle:lieux",
        "service=WFS&version=1.1.0&request=DescribeFeatureType",
        "request=GetFeature&typenames=lieux&count=2&startindex=1&sortby=n+DESC&propertyname=nom,n",
        "request=GetFeature&version=1.1.0&typename=socle:communes&maxfeatures=1&bbox=50,2,51,4,urn:ogc:def:crs:EPSG::4326",
        "request=GetFeature&version=1.0.0&typename=communes&bbox=2,50,4,51&srsname=EPSG:2154",
        "request=GetFeature&typenames=lieux&resulttype=hits&outputformat=application/json",
        "request=GetFeature&typenames=(lieux)(communes)&count=1&outputformat=csv",
        "request=GetFeature&resourceid=lieux.59350,communes.59350",
        "request=GetPropertyValue&typenames=lieux&valuereference=nom",
        "request=ListStoredQueries",
        "request=DescribeStoredQueries&storedquery_id=urn:ogc:def:query:OGC-WFS::GetFeatureById",
        "request=GetFeature&storedquery_id=urn:ogc:def:query:OGC-WFS::GetFeatureById&id=communes.59350",
        *["F" + f for f in FILTERS[:10]],
        f'<wfs:GetFeature service="WFS" version="2.0.0" count="2" {WFS}><wfs:Query typeNames="lieux" srsName="EPSG:2154">'
        f"<wfs:PropertyName>nom</wfs:PropertyName>{FILTERS[2]}<fes:SortBy {FES}><fes:SortProperty><fes:ValueReference>n"
        "</fes:ValueReference><fes:SortOrder>DESC</fes:SortOrder></fes:SortProperty></fes:SortBy></wfs:Query></wfs:GetFeature>",
        f'<wfs:GetFeature service="WFS" version="2.0.0" {WFS}><wfs:StoredQuery id="urn:ogc:def:query:OGC-WFS::GetFeatureById">'
        '<wfs:Parameter name="ID">lieux.59350</wfs:Parameter></wfs:StoredQuery></wfs:GetFeature>',
        f'<wfs:GetPropertyValue service="WFS" version="2.0.0" valueReference="nom" {WFS}><wfs:Query typeNames="lieux"/>'
        "</wfs:GetPropertyValue>",
        f'<wfs:GetCapabilities service="WFS" {WFS}/>',
        f'<wfs:DescribeFeatureType service="WFS" version="2.0.0" {WFS}><wfs:TypeName>communes</wfs:TypeName></wfs:DescribeFeatureType>',
        f'<wfs:Transaction service="WFS" version="2.0.0" {WFS}/>',
    ],
)
for name, document in [("entities", ENTITIES), ("external", EXTERNAL), ("deep", DEEP)]:
    seed("wfs", name, document.replace("Filter", "GetFeature"))
seed("wfs", "many", "F" + MANY)

# --- tables


def archive(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in files.items():
            z.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


SPACE = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
KIND = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
WORKBOOK = archive(
    {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="{KIND}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="{KIND}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="r2" Type="{KIND}/sharedStrings" Target="sharedStrings.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {SPACE}><sheets><sheet name="A" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/sharedStrings.xml": f'<sst {SPACE}><si><t>code</t></si><si><t>59350</t></si></sst>',
        "xl/worksheets/sheet1.xml": f'<worksheet {SPACE}><dimension ref="A1:B3"/><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="inlineStr"><is><t>n</t></is></c></row><row r="2"><c r="A2" t="s"><v>1</v></c><c r="B2"><v>2.5</v></c></row><row r="3"><c r="A3"><v>1001</v></c><c r="B3" t="b"><v>1</v></c></row></sheetData></worksheet>',
    }
)
list_of(
    "resolve",
    [
        b"\x00code_insee;nom;n\n59350;Lille;1\n01001;L'Abergement;2\n59355;Lomme;3\n14712;X;4\n",
        b"\x31commune,departement\nLille,59\nSaint-Denis,93\nLomme,Nord\n",
        b"\x95code\tn\r\n\"59350\"\t\"a\"\"b\"\r\n1001\t\r\n",
        b"\x03" + json.dumps([{"code": "59350", "n": 1}, {"code": 1001, "x": None, "l": [1]}]).encode(),
        b"\x0b" + b'{"code":"59350"}\n{"code":"93066","n":1.5}\n',
        b"\x01" + "code;été\n59350;é\n".encode("cp1252"),
        b"\x01" + "code;été\n59350;é\n".encode("utf-16"),
        b"\x02" + WORKBOOK,
        b"\x1a" + WORKBOOK,
        b"\x40lon,lat,code\n3.06,50.63,59350\n",
    ],
)

# --- sources

FEATURES = json.loads((DEMO / "communes.geojson").read_text())["features"]
FEATURES.sort(key=lambda f: len(json.dumps(f)))
GEOJSON = json.dumps({"type": "FeatureCollection", "features": FEATURES[:2]}, ensure_ascii=False)
ODD = (
    '{"type":"Feature","id":1,"geometry":{"type":"GeometryCollection","geometries":[{"type":"Point","coordinates":'
    '[3,50,1]},{"type":"MultiLineString","coordinates":[[[0,0],[1,1]]]}]},"properties":{"a":1,"b":1.5e-3,"c":"\\ud83d'
    '\\ude00\\n","d":null,"e":[1,{"f":true}],"jour":"2025-01-31","vu":"2025-01-31T12:00:00+02:00"}}'
)
list_of(
    "geojson",
    [
        GEOJSON,
        ODD,
        "\x1e" + ODD + "\n\x1e" + ODD + "\n",
        ODD + "\n" + ODD,
        '{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,0]],[[0.1,0.1],[0.2,0.1],[0.2,0.2],[0.1,0.1]]]}',
        '{"features":[{"properties":null,"geometry":null,"type":"Feature"}],"crs":{"type":"name","properties":{"name":'
        '"urn:ogc:def:crs:EPSG::2154"}},"type":"FeatureCollection"}',
        ("\ufeff" + ODD).encode("utf-16"),
        '{"type":"FeatureCollection","features":[' + '{"type":"Feature","properties":{"a":' + "[" * 300 + "]" * 300 + "}}]}",
    ],
)
CSV = b"".join((DEMO / "mairies.csv").read_bytes().splitlines(True)[:4])
list_of(
    "csv",
    [
        b"\x00" + CSV,
        b"\x01" + CSV,
        b"\x00code;lon;lat;jour\n01001;4,9;46,1;31/01/2025\n2A004;8,7;41,9;\n",
        b"\x00id,wkt,n\n1,POINT(3 50),1 000\n2,\"POLYGON((0 0, 1 0, 1 1, 0 0))\",2\n",
        b"\x04" + b"1,2,3\n4,5,6\n",
        b"\x05a\tb\n3.5\t50.5\n\"x\"\"y\"\t\n",
        b"\x00a|b|c\n1|\"2\n3\"|4\n\n5|6\n",
        b"\x02" + "a;b\n1;é\n".encode("utf-16-le"),
        b"\x00" + b"\xef\xbb\xbfgeo_point_2d;geo_shape;a\n\"50.6, 3.1\";\"{\"\"type\"\":\"\"Point\"\",\"\"coordinates\"\":[3,50]}\";x\n",
        b"\x00x;y;a\n700000;6600000;\xe9\n700001,5;6600000,5;\xa4\n",
    ],
)


def shp(kind, shapes):
    records = b""
    index = b""
    for number, content in enumerate(shapes, 1):
        index += struct.pack(">ii", (100 + len(records)) // 2, len(content) // 2)
        records += struct.pack(">ii", number, len(content) // 2) + content

    def head(length):
        return struct.pack(">7i", 9994, 0, 0, 0, 0, 0, (100 + length) // 2) + struct.pack(
            "<ii8d", 1000, kind, 0, 0, 10, 10, 0, 0, 0, 0
        )

    return head(len(records)) + records, head(len(index)) + index


def dbf(fields, rows, code_page=3):
    size = 1 + sum(f[2] for f in fields)
    out = struct.pack("<4BIHH16xBBH", 3, 125, 1, 1, len(rows), 33 + 32 * len(fields), size, 0, code_page, 0)[:32]
    for name, kind, length, decimals in fields:
        out += struct.pack("<11sc4xBB14x", name, kind, length, decimals)
    out += b"\r"
    for row in rows:
        out += b" " + b"".join(v.ljust(f[2])[: f[2]] for v, f in zip(row, fields))
    return out + b"\x1a"


RING = [(0, 0), (0, 1), (1, 1), (1, 0), (0, 0)]
HOLE = [(0.2, 0.2), (0.4, 0.2), (0.4, 0.4), (0.2, 0.2)]


def polygon(kind=5, z=b""):
    points = RING + HOLE
    parts = struct.pack("<i4dii2i", kind, 0, 0, 1, 1, 2, len(points), 0, len(RING))
    return parts + b"".join(struct.pack("<2d", *p) for p in points) + z


POINTS = shp(1, [struct.pack("<i2d", 1, 3, 50), struct.pack("<i", 0)])
POLYGONS = shp(5, [polygon(), polygon()])
HIGH = shp(15, [polygon(15, struct.pack("<2d9d", 0, 1, *range(9)))])
MANY_POINTS = shp(8, [struct.pack("<i4di4d", 8, 0, 0, 1, 1, 2, 0, 0, 1, 1)])
LINES = shp(3, [struct.pack("<i4diii4d", 3, 0, 0, 1, 1, 1, 2, 0, 0, 0, 1, 1)])
FIELDS = [(b"CODE", b"C", 5, 0), (b"N", b"N", 8, 2), (b"JOUR", b"D", 8, 0), (b"OK", b"L", 1, 0), (b"F", b"F", 6, 1)]
ROWS = [[b"59350", b"1.50", b"20250131", b"T", b"1.5"], [b"\xe9t\xe9", b"", b"", b"?", b"x"]]
TABLE = dbf(FIELDS, ROWS)
PRJ = b'GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]]'


def packed(*files):
    return b"".join(struct.pack("<I", len(f)) + f for f in files)


list_of(
    "shapefile",
    [
        packed(TABLE, POINTS[0], POINTS[1], PRJ, b"UTF-8"),
        packed(TABLE, POLYGONS[0], POLYGONS[1], PRJ),
        packed(TABLE, POLYGONS[0], b"", b"", b"1252"),
        packed(TABLE, HIGH[0], HIGH[1]),
        packed(TABLE, MANY_POINTS[0], MANY_POINTS[1]),
        packed(TABLE, LINES[0]),
        packed(dbf(FIELDS, ROWS, 0x57), POINTS[0], POINTS[1], PRJ, b"ISO-8859-15"),
    ],
)


def wkb_point(x, y):
    return struct.pack("<BI2d", 1, 1, x, y)


def wkb_polygon(*rings):
    return struct.pack("<BII", 1, 3, len(rings)) + b"".join(
        struct.pack("<I", len(r)) + b"".join(struct.pack("<2d", *p) for p in r) for r in rings
    )


def several(kind, *parts):
    return struct.pack("<BII", 1, kind, len(parts)) + b"".join(parts)


LINE = struct.pack("<BII4d", 1, 2, 2, 0, 0, 1, 1)
SHAPES = [
    wkb_point(3, 50),
    wkb_point(float("nan"), float("nan")),
    LINE,
    wkb_polygon(RING, HOLE),
    several(4, wkb_point(1, 2), wkb_point(3, 4)),
    several(5, LINE, LINE),
    several(6, wkb_polygon(RING), wkb_polygon([(x + 5, y) for x, y in RING])),
    several(7, wkb_point(1, 2), LINE, wkb_polygon(RING)),
]
ODD_SHAPES = [
    struct.pack(">BI3d", 0, 1001, 1, 2, 3),
    struct.pack("<BI4d", 1, 0xC0000001, 1, 2, 3, 4),
    struct.pack("<BII2d", 1, 0x20000001, 4326, 1, 2),
    wkb_polygon([(0, 0), (1, 1), (1, 0), (0, 1), (0, 0)]),
    several(6, wkb_polygon(RING), wkb_polygon(RING)),
    wkb_polygon([(0, 0), (4, 0), (4, 4), (0, 4), (0, 0)], [(0, 0), (2, 1), (4, 4), (1, 2), (0, 0)]),
    struct.pack("<BII", 1, 2, 0xFFFFFFFF),
]
list_of("wkb", SHAPES + ODD_SHAPES)
seed("wkb", "deep", struct.pack("<BII", 1, 7, 1) * 2000)
list_of("geometry", SHAPES + ODD_SHAPES)


def geopackage(rows, odd=False):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.gpkg")
        db = sqlite3.connect(path)
        db.executescript(
            "PRAGMA page_size=512; PRAGMA application_id=1196444487; PRAGMA user_version=10300;"
            "CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT, srs_id INTEGER PRIMARY KEY, organization TEXT,"
            " organization_coordsys_id INTEGER, definition TEXT, description TEXT);"
            "INSERT INTO gpkg_spatial_ref_sys VALUES ('WGS 84', 4326, 'EPSG', 4326, 'x', '');"
            "CREATE TABLE gpkg_contents (table_name TEXT PRIMARY KEY, data_type TEXT, identifier TEXT, description TEXT,"
            " last_change TEXT, min_x, min_y, max_x, max_y, srs_id INTEGER);"
            "INSERT INTO gpkg_contents VALUES ('a', 'features', 'a', '', '2025-01-01T00:00:00Z', 0, 0, 1, 1, 4326);"
            "CREATE TABLE gpkg_geometry_columns (table_name TEXT, column_name TEXT, geometry_type_name TEXT,"
            " srs_id INTEGER, z, m);"
            "INSERT INTO gpkg_geometry_columns VALUES ('a', 'geom', 'GEOMETRY', 4326, 0, 0);"
            "CREATE TABLE a (fid INTEGER PRIMARY KEY, geom BLOB, code TEXT, n INTEGER, f REAL, jour DATE, vu DATETIME,"
            " ok BOOLEAN, b BLOB);"
        )
        if odd:
            db.execute("CREATE VIEW v AS WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT i fid, NULL geom FROM r")
            db.execute("UPDATE gpkg_contents SET table_name = 'v'")
            db.execute("UPDATE gpkg_geometry_columns SET table_name = 'v'")
        for number, shape in enumerate(rows, 1):
            blob = shape and b"GP\x00\x01" + struct.pack("<i", 4326) + shape
            db.execute(
                "INSERT INTO a VALUES (?, ?, '59350', 1, 1.5, '2025-01-31', '2025-01-31T12:00:00Z', 1, NULL)",
                (number, blob),
            )
        db.commit()
        db.execute("VACUUM")
        db.close()
        return Path(path).read_bytes()


def layer():
    """The layer of `src/service.rs` that filters are tried on: a field of every kind."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.gpkg")
        Path(path).write_bytes(geopackage([]))
        db = sqlite3.connect(path)
        db.executescript(
            "DROP TABLE a; CREATE TABLE a (fid INTEGER PRIMARY KEY, code TEXT, nom TEXT, \"x \"\"y\"\" 'z'\" TEXT,"
            " n INTEGER, taux REAL, ok BOOLEAN, jour DATE, vu DATETIME, liste JSON, geom POINT);"
        )
        for i, code in enumerate(["59350", "59512", "59599", "62041"]):
            at = wkb_point(3.05 + i % 2 * 0.1, 50.65 + i // 2 * 0.1)
            row = (i + 1, code, f"Été {i}", "a'b\"c", i, i + 0.5, i % 2, f"2025-01-0{i + 1}",
                   f"2025-01-31T12:0{i}:00Z", json.dumps(["a", i]), b"GP\x00\x01" + struct.pack("<i", 4326) + at)
            db.execute("INSERT INTO a VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        db.commit()
        db.execute("VACUUM")
        db.close()
        return Path(path).read_bytes()


(HERE / "src/lieux.gpkg").write_bytes(layer())

GPKG = geopackage([SHAPES[0], SHAPES[3], None])
seed("geopackage", "plain", GPKG)
seed("geopackage", "empty", geopackage([]))
seed("geopackage", "endless-view", geopackage([SHAPES[0]], odd=True))
SHAPEFILE = {"d/a.shp": POLYGONS[0], "d/a.shx": POLYGONS[1], "d/a.dbf": TABLE, "d/a.prj": PRJ, "d/a.cpg": b"UTF-8"}
BOMB = archive({"a.csv": b"a;b\n" + b"0;0\n" * 3_000_000})
list_of(
    "archive",
    [
        archive(SHAPEFILE),
        archive({"a.geojson": GEOJSON, "LISEZMOI.txt": "x"}),
        archive({"../hors-du-dossier": "x", "../../a.csv": CSV, "/a/b.csv": CSV}),
        archive({"a.zip": archive({"a.csv": CSV})}),
        gzip.compress(CSV, mtime=0),
        gzip.compress(GEOJSON.encode(), mtime=0) + gzip.compress(b" ", mtime=0),
        CSV,
        GEOJSON,
        b"<!DOCTYPE html><html></html>",
        BOMB,
    ],
)
FEATURE = '{"type":"Feature","properties":{"code":"59350"},"geometry":{"type":"Point","coordinates":[3,50]}}'
KML = """<kml xmlns="http://www.opengis.net/kml/2.2"><Document><Schema id="s"><SimpleField name="ok" type="bool"/></Schema>
<Folder><name>A</name><Placemark><name>a &amp; b</name><ExtendedData><SchemaData schemaUrl="#s"><SimpleData name="ok">1</SimpleData></SchemaData>
<Data name="code"><value>59350</value></Data></ExtendedData><MultiGeometry><Point><coordinates>3,50,1</coordinates></Point><LineString><coordinates>3,50 4,51</coordinates></LineString></MultiGeometry></Placemark></Folder>
<Folder><name>B</name><Placemark><Polygon><outerBoundaryIs><LinearRing><coordinates>3,50 4,50 4,51 3,50</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark></Folder></Document></kml>"""
GML = """<wfs:FeatureCollection xmlns:wfs="http://www.opengis.net/wfs/2.0" xmlns:gml="http://www.opengis.net/gml/3.2" xmlns:a="a">
<wfs:member><a:b gml:id="b.1"><a:g><gml:MultiSurface srsName="urn:ogc:def:crs:EPSG::4326"><gml:surfaceMember><gml:Polygon><gml:exterior><gml:LinearRing><gml:posList srsDimension="2">50 3 50 4 51 4 50 3</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon></gml:surfaceMember></gml:MultiSurface></a:g><a:code>59350</a:code><a:m>1</a:m><a:m>2</a:m></a:b></wfs:member>
<wfs:member><a:b><a:g><gml:Point><gml:coordinates>3,50</gml:coordinates></gml:Point></a:g></a:b></wfs:member></wfs:FeatureCollection>"""
CAPABILITIES = """<wfs:WFS_Capabilities version="2.0.0" xmlns:wfs="w" xmlns:ows="o"><ows:OperationsMetadata><ows:Operation name="GetFeature"><ows:Parameter name="outputFormat"><ows:AllowedValues><ows:Value>application/gml+xml; version=3.2</ows:Value></ows:AllowedValues></ows:Parameter></ows:Operation>
<ows:Constraint name="ImplementsResultPaging"><ows:DefaultValue>FALSE</ows:DefaultValue></ows:Constraint></ows:OperationsMetadata><wfs:FeatureTypeList><wfs:FeatureType><wfs:Name>a:b</wfs:Name><wfs:DefaultCRS>urn:ogc:def:crs:EPSG::4326</wfs:DefaultCRS><ows:WGS84BoundingBox><ows:LowerCorner>1 48</ows:LowerCorner><ows:UpperCorner>5 52</ows:UpperCorner></ows:WGS84BoundingBox></wfs:FeatureType></wfs:FeatureTypeList></wfs:WFS_Capabilities>"""
RECORD = """<gmd:MD_Metadata><gmd:identificationInfo><gmd:MD_DataIdentification><gmd:citation><gmd:CI_Citation><gmd:title><gco:CharacterString>Communes</gco:CharacterString></gmd:title></gmd:CI_Citation></gmd:citation>
<gmd:pointOfContact><gmd:CI_ResponsibleParty><gmd:organisationName><gmx:Anchor>IGN</gmx:Anchor></gmd:organisationName><gmd:role><gmd:CI_RoleCode codeListValue="owner"/></gmd:role></gmd:CI_ResponsibleParty></gmd:pointOfContact></gmd:MD_DataIdentification></gmd:identificationInfo>
<gmd:distributionInfo><gmd:MD_Distribution><gmd:transferOptions><gmd:MD_DigitalTransferOptions><gmd:onLine><gmd:CI_OnlineResource><gmd:linkage><gmd:URL>https://x.fr/wfs?map=a</gmd:URL></gmd:linkage><gmd:protocol><gco:CharacterString>OGC:WFS</gco:CharacterString></gmd:protocol></gmd:CI_OnlineResource></gmd:onLine></gmd:MD_DigitalTransferOptions></gmd:transferOptions></gmd:MD_Distribution></gmd:distributionInfo></gmd:MD_Metadata>"""
RECORDS = ('<csw:GetRecordsResponse><csw:SearchResults numberOfRecordsMatched="2" nextRecord="3">' + RECORD
           + '<csw:Record><dc:title>A</dc:title><dc:URI protocol="WWW:DOWNLOAD" name="a.gpkg">https://x.fr/a.gpkg</dc:URI></csw:Record></csw:SearchResults></csw:GetRecordsResponse>')
RDF = """<rdf:RDF xmlns:rdf="r"><rdf:Description rdf:about="v"><hydra:next rdf:resource="https://x.fr/2"/></rdf:Description>
<dcat:Dataset rdf:about="a"><dct:title xml:lang="fr">A</dct:title><dct:publisher rdf:nodeID="n"/><dcat:distribution rdf:resource="d"/></dcat:Dataset><rdf:Description rdf:nodeID="n"><foaf:name>IGN</foaf:name></rdf:Description>
<rdf:Description rdf:about="d"><rdf:type rdf:resource="http://www.w3.org/ns/dcat#Distribution"/><dcat:downloadURL rdf:resource="https://x.fr/a.csv"/><dct:format>CSV</dct:format></rdf:Description></rdf:RDF>"""
JSONLD = """{"@context":{"dct":"t"},"@graph":[{"@id":"a","@type":["dcat:Dataset"],"dct:title":[{"@value":"A","@language":"fr"}],"dcat:distribution":{"@id":"d"},"dct:publisher":{"foaf:name":"IGN"}},
{"@id":"d","@type":"dcat:Distribution","dcat:accessURL":{"@id":"https://x.fr/wfs"},"dct:format":"WFS"},{"@id":"a"}],"hydra:next":"?page=2","hydra:totalItems":2}"""
list_of(
    "answers",
    [CAPABILITIES, "<?xml version='1.0' encoding='ISO-8859-1'?>" + GML.replace("<wfs:FeatureCollection", "<wfs:FeatureCollection numberReturned='2' timeStamp='t'"),
     "<a:FeatureCollection xmlns:a='a' numberOfFeatures='0'/>", RECORDS, RDF, JSONLD,
     '{"collections":[{"id":"a","title":"A","license":"x"}],"links":[{"rel":"data","href":"/b"}]}',
     '{"currentVersion":11,"layers":[{"id":0,"name":"A"}],"services":[{"name":"b","type":"FeatureServer"}]}',
     "<ows:ExceptionReport><ows:Exception><ows:ExceptionText>non</ows:ExceptionText></ows:Exception></ows:ExceptionReport>"],
)
ODS = archive(
    {
        "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
        "content.xml": """<o:document-content xmlns:o="o" xmlns:t="t" xmlns:x="x"><o:body><o:spreadsheet><t:table t:name="A"><t:table-row><t:table-cell o:value-type="string"><x:p>code</x:p></t:table-cell><t:table-cell o:value-type="string"><x:p>n<x:s/>é</x:p></t:table-cell></t:table-row>
<t:table-row t:number-rows-repeated="2"><t:table-cell o:value-type="string"><x:p>59350</x:p></t:table-cell><t:table-cell t:number-columns-repeated="2" o:value-type="float" o:value="1.5"/></t:table-row></t:table></o:spreadsheet></o:body></o:document-content>""",
    }
)
list_of("import", [GEOJSON, ODD, CSV, GPKG, archive(SHAPEFILE), gzip.compress(CSV, mtime=0),
                   "code;lon;lat;jour\n59350;3,06;50,63;2025-01-02\n59355;3;50;2025-01-03\n99999;;;\n",
                   '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"code":"59350","jour":"2025-01-01"},'
                   '"geometry":{"type":"Polygon","coordinates":[[[0,0],[1,1],[1,0],[0,1],[0,0]]]}}]}',
                   FEATURE + "\n\x1e" + FEATURE + "\n{oops}\n", '{"59350":{"jour":"2025-01-01","g":[1,null]},"59355":{"n":1e3}}',
                   '{"total":2,"lignes":[{"code":"59350","geo_shape":{"type":"Point","coordinates":[3,50]}},{"code":1001}]}',
                   KML, GML, ODS, WORKBOOK, "code;wkt\n59350;POINT(3 50)\n59355;\"SRID=2154;POLYGON((7e5 7e6,7.1e5 7e6,7.1e5 7.1e6,7e5 7e6))\"\n"])


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def message(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def tile(kind, commands):
    feature = b"\x08\x07" + message(2, b"\x00\x00") + b"\x18" + bytes([kind]) + message(4, b"".join(map(varint, commands)))
    values = message(4, message(1, b"x")) + message(4, b"\x28\x05") + message(4, b"\x19" + struct.pack("<d", 1.5))
    return message(3, message(1, b"a") + message(2, feature) + message(3, b"k") + values + b"\x28\x80\x20\x78\x02")


TILES = [tile(1, [9, 4, 4]), tile(2, [9, 4, 4, 18, 0, 16, 16, 0]), tile(3, [9, 0, 0, 26, 20, 0, 0, 20, 19, 0, 15])]
list_of("mvt", TILES + [tile(3, [9, 0, 0, 26, 20, 0, 0, 20, 19, 0, 15, 9, 1, 2, 26, 0, 4, 4, 0, 0, 3, 15]), TILES[0] * 2])

# --- what an operator brings

COMMUNES = "TYPECOM,COM,REG,DEP,CTCD,ARR,TNCC,NCC,NCCENR,LIBELLE,CAN,COMPARENT\nCOM,59350,32,59,59D,595,0,LILLE,Lille,Lille,5998,\nCOMD,59355,,,,,0,LOMME,Lomme,Lomme,,59350\n"
MOVES = "MOD,DATE_EFF,TYPECOM_AV,COM_AV,TNCC_AV,NCC_AV,NCCENR_AV,LIBELLE_AV,TYPECOM_AP,COM_AP,TNCC_AP,NCC_AP,NCCENR_AP,LIBELLE_AP\n33,2000-02-27,COM,59355,0,LOMME,Lomme,Lomme,COM,59350,0,LILLE,Lille,Lille\n"
list_of(
    "cog",
    [
        "v_commune_2026.csv\n" + COMMUNES,
        "v_mvt_commune_2026.csv\n" + MOVES,
        "v_commune_2026.csv\n" + COMMUNES + "\0v_mvt_commune_2026.csv\n" + MOVES,
        "v_departement_2026.csv\nDEP,REG,CHEFLIEU,TNCC,NCC,NCCENR,LIBELLE\n59,32,59350,2,NORD,Nord,Nord\n",
        'communes.json\n[{"code":"59350","nom":"Lille","departement":"59","arrondissement":"595","region":"32",'
        '"codesPostaux":["59000"],"population":236710,"type":"commune-actuelle"}]',
        'epci.json\n[{"code":"200093201","nom":"Métropole Européenne de Lille","type":"METRO","membres":[{"code":"59350"}]}]',
    ],
)
CONFIG = """[server]
listen = "127.0.0.1:8080"
public_url = "https://sig.example.fr/socle/"
title = "Essai"
trusted_proxies = ["10.0.0.0/8", "::1"]
[store]
path = "store"
[harvest]
cache = "cache"
[tiles]
cache_mb = 64
[territories]
derived = ["dep"]
[[levels]]
id = "bv"
title = "Bassins"
members = "niveau.csv"
commune = "com"
code = "bv"
"""
LAYER = """id = "a"
title = "A"
producer = "P"
licence = "lov2"
key = "code"
style = "a"
[source]
url = "https://example.fr/${JETON}/a.csv"
format = "csv"
encoding = "windows-1252"
[source.csv]
x = "lon"
y = "lat"
separator = ";"
decimal = ","
[territory]
level = "com"
column = "code"
[time]
start = "jour"
[schedule]
cron = "30 3 * * *"
[hold]
rows_lost = 20
[tiles]
min_zoom = 6
"""
POSTGIS = """[store]
kind = "postgis"
url_env = "SOCLE_FUZZ_ABSENT"
[[tables]]
table = "sig.parcs"
id = "parcs"
title = "Parcs"
producer = "P"
licence = "lov2"
key = "id"
"""
STYLE = json.loads((HERE.parent / "styles/communes.json").read_text())
list_of("config", [CONFIG, CONFIG + "\0" + LAYER + "\0" + json.dumps(STYLE) + "\0com;bv\n59350;59350\n59512;59350\n", POSTGIS,
                   "[[[[[", "a." * 2000 + "a = 1", "a = " + "[" * 3000])
for path in sorted((HERE.parent / "styles").glob("*.json")):
    style = json.loads(path.read_text())
    for layer in style["layers"]:
        if "source-layer" in layer:
            layer["source-layer"] = "a"
    seed("style", path.stem, json.dumps(style, ensure_ascii=False))
