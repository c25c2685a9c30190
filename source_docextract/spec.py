"""The Airbyte spec, drawn from the settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from .settings import Settings


class _AirbyteSchemaGenerator(GenerateJsonSchema):
    """JSON schema for Airbyte's form, which knows no unions with null, no definitions and no closed objects."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


_UNSUPPORTED_KEYS = {"additionalProperties", "writeOnly", "$defs", "discriminator"}


def build_connection_spec() -> dict[str, Any]:
    """Return the JSON schema of the settings as Airbyte's form wants it: inlined, and numbered as written there."""
    schema = Settings.model_json_schema(schema_generator=_AirbyteSchemaGenerator)
    inlined_schema: dict[str, Any] = _inline_definitions(schema, schema.get("$defs", {}))
    inlined_schema["$schema"] = "http://json-schema.org/draft-07/schema#"
    return inlined_schema


def _inline_definitions(node: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inline_definitions(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        definition = _inline_definitions(definitions[re.sub(r"^#/\$defs/", "", node["$ref"])], definitions)
        own_keys = {key: value for key, value in node.items() if key not in {"$ref", "default"}}
        return _make_choice(own_keys, definition) if "use" in definition["properties"] else {**definition, **own_keys}
    result = {
        key: _inline_definitions(value, definitions)
        for key, value in node.items()
        if key not in _UNSUPPORTED_KEYS and not (key == "default" and value is None)
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


def _make_choice(outer_schema: dict[str, Any], section_schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a section that can be switched off; the form takes the first choice by itself.

    An object without `use` fits the second choice alone, so that `use` may be left out of a configuration file.
    """
    unused_schema = {
        "title": "Not used",
        "description": f"{outer_schema['title']} is not used.",
        "type": "object",
        "properties": {"use": _make_constant("no")},
        "required": ["use"],
    }
    used_schema = {**section_schema, "properties": {**section_schema["properties"], "use": _make_constant("yes")}}
    return {**outer_schema, "type": "object", "oneOf": [unused_schema, used_schema]}


def _make_constant(value: str) -> dict[str, Any]:
    description = "Whether this section is used: yes or no. If left out, an object means yes."
    return {"title": "Use", "description": description, "type": "string", "const": value, "order": 0}
