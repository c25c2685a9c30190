"""The Airbyte spec, drawn from the settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from .config import Settings


class _AirbyteSchema(GenerateJsonSchema):
    """JSON schema for Airbyte's form, which knows no unions with null, no definitions and no closed objects."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


_NOT_FOR_THE_FORM = {"additionalProperties", "writeOnly", "$defs", "discriminator"}


def connection_specification() -> dict[str, Any]:
    """Return the JSON schema of the settings as Airbyte's form wants it: inlined, and numbered as written there."""
    schema = Settings.model_json_schema(schema_generator=_AirbyteSchema)
    inlined: dict[str, Any] = _inlined(schema, schema.get("$defs", {}))
    inlined["$schema"] = "http://json-schema.org/draft-07/schema#"
    return inlined


def _inlined(node: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = _inlined(definitions[re.sub(r"^#/\$defs/", "", node["$ref"])], definitions)
        own = {key: value for key, value in node.items() if key not in {"$ref", "default"}}
        return _choice(own, target) if "use" in target["properties"] else {**target, **own}
    result = {
        key: _inlined(value, definitions)
        for key, value in node.items()
        if key not in _NOT_FOR_THE_FORM and not (key == "default" and value is None)
    }
    if result.get("airbyte_hidden"):
        result.pop("default", None)  # the form would save it, and freeze today's default into every source
    if "oneOf" in result:
        result["type"] = "object"
    if result.get("format") == "password":
        del result["format"]
    if isinstance(node.get("properties"), dict):
        for order, field_schema in enumerate(result["properties"].values()):
            field_schema["order"] = order
    return result


def _choice(own: dict[str, Any], section: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a section that can be switched off; the form takes the first choice by itself.

    An object without `use` fits the second choice alone, so that `use` may be left out of a configuration file.
    """
    unused = {
        "title": "Not used",
        "description": f"{own['title']} is left out.",
        "type": "object",
        "properties": {"use": _constant("no")},
        "required": ["use"],
    }
    used = {**section, "properties": {**section["properties"], "use": _constant("yes")}}
    return {**own, "type": "object", "oneOf": [unused, used]}


def _constant(value: str) -> dict[str, Any]:
    description = "What was chosen: yes or no. Where it is left out, an object means yes."
    return {"title": "Use", "description": description, "type": "string", "const": value, "order": 0}
