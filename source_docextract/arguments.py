"""The command line's verbs and options, and their help."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from .version import VERSION

_PROGRAM = "source-docextract"

_DESCRIPTION = """\
Sync batches, files and extracted data from Extracta.ai, DocMap, Sensible and Atlas, incrementally.
An Airbyte source: it prints records, states and logs as lines of JSON."""

_EPILOG = """\
files:
  config.json    your settings: one JSON object. spec prints their schema
  catalog.json   the streams to read, and their sync modes: the output of catalog, not of discover
  state.jsonl    what earlier syncs have read: their output (or a JSON list of states)

example:
  echo '{"sensible": {"api_key": "your-sensible-key"}}' > config.json
  source-docextract check --config config.json
  source-docextract catalog --config config.json > catalog.json
  source-docextract read --config config.json --catalog catalog.json > first.jsonl
  grep '"type":"STATE"' first.jsonl >> state.jsonl
  source-docextract read --config config.json --catalog catalog.json --state state.jsonl > second.jsonl

exit codes: 0 success, 1 error (the last message gives the reason), 2 invalid command line;
a process that is stopped by a signal ends with that signal.

source-docextract VERB --help shows the options of one verb."""

_CONFIG_HELP = "the settings: a file with one JSON object"

_CATALOG_HELP = "the streams to read: a file with the output of `source-docextract catalog`"

_STATE_HELP = (
    "what earlier syncs have read: a file with their output, or a JSON list of states; the last state of a stream "
    "counts. Without it, everything is read"
)

_STREAMS_HELP = "only these streams; * matches any characters, as in 'sensible_*' (default: all)"


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments into `command`, the files by option, and `debug`.

    Raises:
        SystemExit: with code 2 for invalid arguments, with 0 after printing the help or the version.
    """
    return _build_parser().parse_args(argv)


def _build_parser() -> argparse.ArgumentParser:
    formatter_class = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        _PROGRAM, description=_DESCRIPTION, epilog=_EPILOG, formatter_class=formatter_class
    )
    parser.add_argument("--version", action="version", version=f"{_PROGRAM} {VERSION}", help="print the version")
    subparsers = parser.add_subparsers(title="verbs", dest="command", metavar="VERB", required=True)
    for verb, purpose, options in _VERBS:
        description = f"{purpose[0].upper()}{purpose[1:]}."
        verb_parser = subparsers.add_parser(
            verb, help=purpose, description=description, formatter_class=formatter_class
        )
        for option, option_help in options.items():
            verb_parser.add_argument(
                f"--{option}",
                required=option in {"config", "catalog"},
                nargs="+" if option == "streams" else None,
                metavar="NAME" if option == "streams" else "FILE",
                help=option_help,
            )
        verb_parser.add_argument(
            "--debug", action="store_true", help="also log each request: method, path, status, duration"
        )
    # Listed for the help only: `cli.main` runs `probe` before parsing, since it has its own options and is no verb of
    # Airbyte's protocol.
    subparsers.add_parser(
        "probe", help="compare the connector's assumptions about each provider with your account", add_help=False
    )
    return parser


_VERBS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("spec", "print the JSON schema of the settings", {}),
    ("check", "test the credentials, and look up each named template", {"config": _CONFIG_HELP}),
    ("discover", "print the streams that the settings produce, with their columns", {"config": _CONFIG_HELP}),
    (
        "catalog",
        "print a catalog for read, to be saved in a file: the streams of discover, all incremental",
        {"config": _CONFIG_HELP, "streams": _STREAMS_HELP},
    ),
    (
        "read",
        "sync: print the records that are new since the state, and new states",
        {"config": _CONFIG_HELP, "catalog": _CATALOG_HELP, "state": _STATE_HELP},
    ),
)
"""The verbs with their purpose and options, in the order in which a new user needs them."""
