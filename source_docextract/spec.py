"""The Airbyte spec, drawn from the settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from .config import Settings


class _AirbyteSchema(GenerateJsonSchema):
    """Airbyte's form builder knows no unions with null, no definitions and no closed objects."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


_NOT_FOR_THE_FORM = {"additionalProperties", "writeOnly", "$defs"}


def connection_specification() -> dict[str, Any]:
    """The JSON schema of the settings, as Airbyte's UI wants it: all inlined, numbered in the order written above."""
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
        target = definitions[re.sub(r"^#/\$defs/", "", node["$ref"])]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    result = {
        key: _inlined(value, definitions)
        for key, value in node.items()
        if key not in _NOT_FOR_THE_FORM and not (key == "default" and value is None)
    }
    if result.get("format") == "password":
        del result["format"]
    if isinstance(node.get("properties"), dict):
        for order, field_schema in enumerate(result["properties"].values()):
            field_schema["order"] = order
    return result
