"""The messages of the connector, out of its source: sentences with `…` for each filled-in part."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PLACEHOLDER = "…"

_MESSAGE_CALLS = {
    "ConfigError", "ConnectorError", "CredentialsError", "QuotaError", "RequestRejected", "RetryableError",
    "SyncStopped", "TransientError", "UnreadableResponse", "ValueError", "once", "warn", "warning",
}  # fmt: skip
_MESSAGE_VARIABLES = {"abort_reason", "error_text", "message", "sentence", "_CONNECTION_FAILED", "_FIXES"}
"""Variables that hold a message until it is raised or logged."""


def list_messages(package: Path) -> set[str]:
    """The errors and warnings of a package; a part of several words is taken for one of its own."""
    all_texts = (
        text for module in _parse_modules(package) for node in _find_message_nodes(module) for text in _find_texts(node)
    )
    return {text for text in all_texts if " " in text.strip(f" {PLACEHOLDER}")}


def list_texts(package: Path) -> list[str]:
    """All texts of a package, whatever they are for."""
    return [text for module in _parse_modules(package) for node in ast.walk(module) if (text := _get_text(node))]


def _parse_modules(package: Path) -> Iterator[ast.Module]:
    return (ast.parse(file.read_text(encoding="utf-8")) for file in sorted(package.rglob("*.py")))


def _find_message_nodes(module: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and _get_name(node.func) in _MESSAGE_CALLS and node.args:
            yield node.args[-1 if _get_name(node.func) == "warn" else 0]
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(_get_name(target) in _MESSAGE_VARIABLES for target in targets):
                yield node.value


def _get_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _find_texts(node: ast.AST) -> Iterator[str]:
    """Texts in an expression, but not those that are filled into another one."""
    if text := _get_text(node):
        yield text
    else:
        for child in ast.iter_child_nodes(node):
            yield from _find_texts(child)


def _get_text(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else PLACEHOLDER for part in node.values)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.replace("%s", PLACEHOLDER).replace("%d", PLACEHOLDER)  # as logging fills them in
    return ""
