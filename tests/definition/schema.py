"""Judges the schemas of a layer by jsonschema: that they are JSON Schema, that OGC API Features part 5
is kept, and that the layer's own features are what its schema says.

Arguments: address of the layer. Prints how many features were judged.
"""

import json
import sys
from urllib.request import Request, urlopen

from jsonschema import Draft202012Validator

SPATIAL = ["point", "linestring", "polygon"]
FORMATS = {"geometry-any", "geometry-geometrycollection"}
FORMATS |= {f"geometry-{k}" for k in SPATIAL} | {f"geometry-multi{k}" for k in SPATIAL}
FORMATS |= {f"geometry-{k}-or-multi{k}" for k in SPATIAL}
# Recommendation "properties", K, and the additional keywords.
KNOWN = {"type", "format", "title", "description", "readOnly", "x-ogc-role", "x-ogc-propertySeq", "x-ogc-unit"}
KNOWN |= {"x-ogc-unitLang", "x-ogc-definition"}


def fetch(url, accept):
    with urlopen(Request(url, headers={"Accept": accept})) as answer:
        assert answer.headers["Content-Type"] == accept, answer.headers["Content-Type"]
        return json.load(answer)


def judge(url, what):
    schema = fetch(f"{url}/{what}", "application/schema+json")
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"{url}/{what}" and schema["type"] == "object" and schema["title"]
    roles, places = [], []
    for name, member in schema["properties"].items():
        spatial = member.get("format", "").startswith("geometry-")
        assert spatial != ("type" in member) and "$ref" not in member, (name, member)
        assert not spatial or member["format"] in FORMATS, (name, member)
        assert member["title"] and set(member) <= KNOWN, (name, member)
        places.append(member["x-ogc-propertySeq"])
        role = member.get("x-ogc-role")
        roles += [role] if role else []
        if role == "id":
            assert member["type"] in ("string", "integer"), (name, member)
        if role and role.startswith("primary-i"):
            assert member["format"] in ("date", "date-time"), (name, member)
        if "x-ogc-unitLang" in member:
            assert member["x-ogc-unit"] and member["x-ogc-unitLang"] in ("UCUM", "QUDT")
        if what == "sortables":
            assert not spatial and member["type"] not in ("object", "array"), (name, member)
    assert len(set(places)) == len(places) and len(set(roles)) == len(roles), (places, roles)
    return schema


def main(url):
    schema = judge(url, "schema")
    for what in ("queryables", "sortables"):
        assert judge(url, what)["additionalProperties"] is False
    fields = {k: v for k, v in schema["properties"].items() if "type" in v}
    key = next((k for k, v in fields.items() if v.get("x-ogc-role") == "id"), None)
    page = fetch(f"{url}/items?limit=200", "application/geo+json")
    for feature in page["features"]:
        assert set(feature["properties"]) == set(fields), feature["properties"]
        assert key is None or str(feature["id"]) == str(feature["properties"][key]), feature["id"]
        # Features lack some values; the schema speaks of those they have.
        there = {k: v for k, v in feature["properties"].items() if v is not None}
        Draft202012Validator({"type": "object", "properties": fields}).validate(there)
    print(len(page["features"]))


main(*sys.argv[1:])
