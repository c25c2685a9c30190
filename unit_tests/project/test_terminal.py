"""What reaches a terminal out of names, ids and reasons that others wrote."""

from __future__ import annotations

from pathlib import Path

from report.terminal import strip_control_characters
from unit_tests.support.cases import each_case

CONTROL_TEXT = "a\x1b[31mb\x07c\x9b2Jd\u202ee\rf\x08g\x1b]0;title\x07h"


def test_strip_control_characters_removes_escapes_and_keeps_lines() -> None:
    assert strip_control_characters(CONTROL_TEXT) == "a[31mbc2Jdefg]0;titleh"
    assert (
        strip_control_characters("Große Überschrift ─ 文書 ✓\n  7,000  rows")
        == "Große Überschrift ─ 文書 ✓\n  7,000  rows"
    )


@each_case("folder", ["demo", "report"])
def test_printed_text_passes_through_strip_control_characters(folder: str) -> None:
    """Whatever prints names something that is printable, or nothing that comes from outside."""
    root = Path(__file__).parents[2]
    safe = (
        'print("\\nStopped, and the sandbox',
        "print(text, end=",
        "self._console.print(Text(strip_control_characters(",
        "DATABASE",
        "print(to_one_line(text)",
        "_print(",
    )
    prints = [
        line.strip()
        for path in (root / folder).glob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "print(" in line and "strip_control_characters(" not in line
    ]

    assert [line for line in prints if not any(expected_text in line for expected_text in safe)] == []
