"""What the connector tells its users, out of its source: sentences with `…` where something is filled in."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

GAP = "…"

_TELLERS = {
    "Again", "BadAnswer", "ConfigError", "ConnectorError", "CredentialsError", "QuotaError", "Refused", "Stopped",
    "TransientError", "ValueError", "once", "warn", "warning",
}  # fmt: skip
_NAMES = {"words", "_BROKEN", "_FIXES"}
"""What is given one of these names is told later."""


def told(package: Path) -> set[str]:
    """The errors and warnings of a package; a part of several words is taken for one of its own."""
    found = (text for module in _modules(package) for node in _telling(module) for text in _texts_in(node))
    return {text for text in found if " " in text.strip(f" {GAP}")}


def texts(package: Path) -> list[str]:
    """All texts of a package, whatever they are for."""
    return [text for module in _modules(package) for node in ast.walk(module) if (text := _text(node))]


def _modules(package: Path) -> Iterator[ast.Module]:
    return (ast.parse(file.read_text(encoding="utf-8")) for file in sorted(package.rglob("*.py")))


def _telling(module: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and _name(node.func) in _TELLERS and node.args:
            yield node.args[-1 if _name(node.func) == "warn" else 0]
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(_name(target) in _NAMES for target in targets):
                yield node.value


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _texts_in(node: ast.AST) -> Iterator[str]:
    """Texts in an expression, but not those that are filled into another one."""
    if text := _text(node):
        yield text
    else:
        for child in ast.iter_child_nodes(node):
            yield from _texts_in(child)


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else GAP for part in node.values)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.replace("%s", GAP).replace("%d", GAP)  # as logging fills them in
    return ""
