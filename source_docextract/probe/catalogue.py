"""The text of docs/assumptions.md, written from the assumptions.

Run `python -m source_docextract.probe.catalogue > docs/assumptions.md` after each change of an assumption.
"""

from __future__ import annotations

import sys

from ..core.probing.assumptions import Assumption
from ..version import VERSION
from .page import format_switch
from .probes import PROBES

_INTRODUCTION = f"""\
# Assumptions

No API could be called while this connector was written. This page lists what it assumes about each provider, with
the evidence. `source-docextract probe` compares this list with your account in about a minute. Its report is safe to
share: it contains shapes, never values.

```bash
source-docextract probe --config config.json --output probe.md
```

The first line of each assumption is what the connector assumes. The lines after it are variants that it handles as
well; if the sandbox can reproduce one, its switch is named. Anything else contradicts the assumption.

## Check for changes on a schedule

Run the probe twice a month and compare. `--against` adds the changes since the earlier report, and the exit code is
one of: 0 nothing to do, 1 an assumption is contradicted, 2 the probe failed, 3 something has changed.

```bash
source-docextract probe --config config.json --against probe.md --output probe-new.md
```

As a line for cron, at 6 in the morning of the 1st and the 15th:

```text
0 6 1,15 * * cd /srv/docextract && source-docextract probe --config config.json --against probe.md --output probe-new.md
```

In the image the command is the same. The folder that holds the settings is mounted, and the report goes to standard
output:

```bash
docker run --rm -v "$PWD:/data" source-docextract:{VERSION} probe --config /data/config.json > probe.md
```

## A sandbox like an account

`docextract-sandbox --like probe.md` starts the sandbox with the switches at the end of a report, so that the behaviour
of an account can be reproduced and tested on any machine.
"""


def render_catalogue() -> str:
    """Return the page: an introduction, then a section for each assumption."""
    parts = [_INTRODUCTION]
    for probe in PROBES.values():
        parts.append(f"## {probe.name}\n")
        parts.extend(_render_section(assumption) for assumption in probe.assumptions)
    return "\n".join(parts)


def _render_section(assumption: Assumption) -> str:
    lines = [f"### `{assumption.id}`\n", f"- **Assumed**: {assumption.assumed_variant.sentence}"]
    for variant in assumption.variants[1:]:
        switches = ", ".join(f"`{name}={format_switch(value)}`" for name, value in variant.switches.items())
        lines.append(f"- Handled: {variant.sentence}" + (f" Sandbox: {switches}" if switches else ""))
    lines.append(f"- Evidence: {assumption.evidence.value}.")
    if not assumption.is_visible:
        lines.append("- The probe cannot observe this.")
    lines.append(f"- If contradicted: {assumption.advice}\n")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(render_catalogue())
