"""Validates documents against OGC's schemas, all of them files here.

Arguments: the folder of schemas, that of documents. In the latter `cases`: one JSON object a line,
with the name of a document and the schemas it is held against, as [namespace, address or name] pairs.
Prints what is wrong, one line each: nothing, where nothing is.
"""

import json
import pathlib
import shutil
import sys

from lxml import etree

schemas, documents = map(pathlib.Path, sys.argv[1:3])
# Schemas name each other by the addresses they are published at; here they are files.
local = documents / "schemas"
for folder in ("ogc/gml", "ogc/wfs", "ogc/ows", "ogc/filter", "ogc/gmlsfProfile", "ogc/iso", "w3c", "isotc211"):
    if (schemas / folder).exists():
        shutil.copytree(schemas / folder, local / folder)
PLACES = {
    "http://schemas.opengis.net/": (local / "ogc").as_uri() + "/",
    "http://www.isotc211.org/": (local / "isotc211").as_uri() + "/",
    "http://www.w3.org/1999/xlink.xsd": (local / "w3c/1999/xlink.xsd").as_uri(),
    "http://www.w3.org/1999/xlink/xlink.xsd": (local / "w3c/1999/xlink.xsd").as_uri(),
    "http://www.w3.org/2001/xml.xsd": (local / "w3c/2001/xml.xsd").as_uri(),
}


def moved(text):
    for address, place in PLACES.items():
        text = text.replace(f'schemaLocation="{address}', f'schemaLocation="{place}')
    return text


for path in local.rglob("*.xsd"):
    raw = path.read_bytes()
    text = moved(raw.decode("utf-8", "surrogateescape"))
    path.write_bytes(text.encode("utf-8", "surrogateescape"))

parser = etree.XMLParser(no_network=True, huge_tree=True)
compiled = {}
for line in (documents / "cases").read_text(encoding="utf-8").splitlines():
    case = json.loads(line)
    imports = []
    for namespace, place in case["schemas"]:
        if "://" not in place:
            own = documents / place
            own.write_text(moved(own.read_text(encoding="utf-8")), encoding="utf-8")
            place = own.as_uri()
        imports.append(
            f'<xsd:import namespace="{namespace}" schemaLocation="{place}"/>'
        )
    driver = moved(
        '<xsd:schema xmlns:xsd="http://www.w3.org/2001/XMLSchema">' + "".join(imports) + "</xsd:schema>"
    )
    try:
        if driver not in compiled:
            compiled[driver] = etree.XMLSchema(etree.fromstring(driver, parser, base_url=documents.as_uri() + "/"))
        document = etree.parse(str(documents / case["document"]), parser)
        if not compiled[driver].validate(document):
            for error in list(compiled[driver].error_log)[:5]:
                print(f'{case["document"]}:{error.line}: {error.message}')
    except etree.LxmlError as error:
        print(f'{case["document"]}: {error}')
