"""`docextract-sandbox`: the sandbox from the command line."""

import argparse
import ipaddress
import json
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from .app import Sandbox
from .clock import Clock
from .faults import FAULT_KINDS
from .probe_report import load_probe_switches
from .server import serve
from .switches import InvalidSwitch, Switches, apply_changes, parse_assignment

_DESCRIPTION = """\
Serve document-extraction APIs on this machine, with sample documents: Extracta (extraction and
classification), Atlas bulk, DocMap and Sensible. It prints the keys to use, and nothing leaves this
machine."""

_EPILOG = (
    """\
examples:
  docextract-sandbox                                 port 8787, real time, the documents of twelve weeks
  docextract-sandbox --config config.json            the same, and a settings file for source-docextract
  docextract-sandbox --speed 60                      one minute per second
  docextract-sandbox --port 0 --empty                any free port, only documents that you upload
  docextract-sandbox --switch partial_batches=true   another variant of undocumented behaviour
  docextract-sandbox --switch docmap_zone=Asia/Kolkata --switch docmap_scan=8 --switch sensible_scan=5
                                                     days in another time zone, short and empty pages
  docextract-sandbox --switch sensible_endless=rows  an endless list (or: empty, circle, no)
  docextract-sandbox --switch other_account=true     valid keys of an empty account
  docextract-sandbox --like probe.md                 behave like a probed account

inject faults while it runs (curl -X DELETE of the same address removes them):
  curl -d '{"kind": "status", "status": 503, "endpoint": "atlas.*", "share": 0.5}' \\
    http://127.0.0.1:8787/_sandbox/faults
  curl -d '{"kind": "unknown id", "endpoint": "sensible.document", "times": 1}' \\
    http://127.0.0.1:8787/_sandbox/faults
kinds: """
    + "\n       ".join(", ".join(FAULT_KINDS[start : start + 8]) for start in range(0, len(FAULT_KINDS), 8))
    + """

While it runs, http://127.0.0.1:8787/ lists the endpoints. Ctrl-C stops it."""
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted. Return 0, or 2 for arguments or a port that do not work."""
    options = _build_parser().parse_args(arguments)
    try:
        switches = load_probe_switches(options.like) if options.like else Switches()
        for assignment in options.switch:
            switches = apply_changes(switches, parse_assignment(assignment))
    except InvalidSwitch as error:
        return _report_failure(str(error))
    if options.config and not _is_overwritable(options.config):
        return _report_failure(
            f"{options.config} contains settings that no sandbox wrote; name another file in --config"
        )
    sandbox = Sandbox(
        Clock(speed=options.speed), switches, options.spacing, not options.empty, random_seed=options.random_seed
    )
    if not options.empty:
        sandbox.fill_demo()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, _raise_interrupt)
    try:
        with serve(sandbox, options.host, options.port) as url:
            if options.config:
                options.config.write_text(json.dumps(sandbox.build_settings(url), indent=2) + "\n", encoding="utf-8")
            print(f"listening on {url}", _build_greeting(sandbox, url), sep="\n", flush=True)
            # With a timeout the wait can be interrupted on every system.
            while not threading.Event().wait(3600):
                pass
    except KeyboardInterrupt:
        print("\nThe sandbox has stopped.", flush=True)
    except OSError as error:
        if options.config and error.filename:
            return _report_failure(
                f"{options.config} can't be written ({error.strerror}); name another file in --config"
            )
        return _report_failure(f"{options.host}:{options.port} can't be used ({error.strerror}); try --port 0")
    return 0


def _is_overwritable(config_path: Path) -> bool:
    """Return whether a file may be written: a new one, or one that an earlier sandbox wrote, with addresses of here."""
    if not config_path.exists():
        return True
    try:
        settings = json.loads(config_path.read_text(encoding="utf-8"))
        sections = [section for section in settings.values() if isinstance(section, dict)]
        hosts = [urlsplit(section["base_url"]).hostname or "" for section in sections]
        return bool(hosts) and all(ipaddress.ip_address(host).is_loopback for host in hosts)
    except (AttributeError, KeyError, OSError, ValueError):
        return False


def _raise_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _report_failure(reason: str) -> int:
    print(f"docextract-sandbox: {reason}", file=sys.stderr)
    return 2


def _build_greeting(sandbox: Sandbox, url: str) -> str:
    lines = [""]
    for name, base_url in sandbox.get_base_urls(url).items():
        lines.append(f"  {name:<10}{base_url}")
        lines += [f"  {'':<10}{key}: {value}" for key, value in sandbox.credentials[name].items()]
    api_key = sandbox.credentials["extracta"]["api_key"]
    base_url = sandbox.get_base_urls(url)["extracta"]
    lines += [
        "",
        "  try:      " + f"curl -H 'Authorization: Bearer {api_key}' {base_url}/credits",
        f"  overview: curl {url}/",
        f"  settings: curl {url}/_sandbox/settings",
        "",
        "Ctrl-C stops it.",
    ]
    return "\n".join(lines)


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "docextract-sandbox",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=_parse_port, default=8787, help="0 picks a free one (default: 8787)")
    parser.add_argument(
        "--host", type=_parse_loopback_address, default="127.0.0.1", help="a loopback address (default: 127.0.0.1)"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="write settings for source-docextract that sync this sandbox"
    )
    parser.add_argument(
        "--speed",
        type=_parse_non_negative,
        default=1.0,
        help="speed of its clock, relative to real time (default: 1)",
    )
    parser.add_argument(
        "--spacing",
        type=_parse_non_negative,
        default=2.0,
        metavar="SECONDS",
        help="minimum interval at each of Extracta's result endpoints; earlier requests get 429 (default: 2)",
    )
    parser.add_argument("--empty", action="store_true", help="start without documents")
    parser.add_argument(
        "--switch",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="choose a variant of undocumented behaviour (repeatable); " + ", ".join(vars(Switches())),
    )
    parser.add_argument(
        "--like",
        metavar="FILE",
        help="behave like the account in a report of `source-docextract probe`; --switch overrides",
    )
    parser.add_argument(
        "--random-seed", type=int, default=1, metavar="N", help="seed of the sample documents (default: 1)"
    )
    return parser


def _parse_port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError("must be a number from 0 to 65535")
    return int(text)


def _parse_loopback_address(text: str) -> str:
    try:
        address = ipaddress.ip_address("127.0.0.1" if text == "localhost" else text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be a loopback address such as 127.0.0.1") from None
    if not address.is_loopback:
        raise argparse.ArgumentTypeError("must be a loopback address: the sandbox serves this machine only")
    return str(address)


def _parse_non_negative(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError("must be a number from 0")
    return number


if __name__ == "__main__":
    sys.exit(main())
