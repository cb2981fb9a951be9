"""Judges an API definition by openapi-spec-validator, and its examples by their own schemas.

Arguments: address, language. Prints how many examples there are, and how many operations.
"""

import json
import sys
from urllib.request import Request, urlopen

from jsonschema.validators import RefResolver
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import OpenAPIV30SpecValidator


def main(url, lang):
    with urlopen(Request(url, headers={"Accept-Language": lang})) as answer:
        definition = json.load(answer)
    OpenAPIV30SpecValidator(definition).validate()
    resolver = RefResolver.from_schema(definition)

    def meant(value):
        return resolver.resolve(value["$ref"])[1] if "$ref" in value else value

    examples, operations = [], 0
    for path, item in definition["paths"].items():
        for operation in item.values():
            operations += 1
            for parameter in map(meant, operation.get("parameters", [])):
                if "example" in parameter:
                    examples.append((parameter["name"], parameter["schema"], parameter["example"]))
            for status, response in operation["responses"].items():
                for media, content in meant(response).get("content", {}).items():
                    if "example" in content:
                        examples.append((f"{path} {status} {media}", content["schema"], content["example"]))
    for name, schema, example in examples:
        for error in OAS30Validator(schema, resolver=resolver).iter_errors(example):
            sys.exit(f"the example of {name}, {example!r}: {error.message}")
    print(len(examples), "examples of", operations, "operations")


main(*sys.argv[1:])
