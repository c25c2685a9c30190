"""The documentation's site as a person sees it: each page in Chromium, wide and narrow, by day and by night."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SITE = ROOT / "build" / "site"
PICTURE_FOLDER = os.environ.get("SITE_PICTURES", "")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SIZES = {"wide": (1400, 900), "narrow": (390, 844)}
LOADED = 60_000
"""Milliseconds: long enough for any machine; it takes less than one second."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_spec("playwright") is None, reason="`make site-test` runs this in .venv-demo"),
]


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing of requests."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    assert (SITE / "index.html").exists(), "`make site` builds the site"
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(SITE)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert executable, "Chromium is not installed"
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
        opened = playwright.chromium.launch(executable_path=executable, args=[*flags, "--disable-gpu"])
        yield opened
        opened.close()


def list_pages() -> list[str]:
    return sorted(str(file.relative_to(SITE)) for file in SITE.rglob("*.html") if file.name != "404.html")


@pytest.mark.parametrize(("size", "scheme"), [("wide", "light"), ("narrow", "dark")])
def test_site_pages_fit_the_screen_without_errors(size: str, scheme: str, address: str, browser: Any) -> None:
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if address not in request.url else None)
    names = list_pages()
    assert len(names) > 20

    for name in names:
        page.goto(f"{address}/{name}", wait_until="load", timeout=LOADED)
        assert page.locator("article h1").count() == 1, name
        too_wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1")
        assert not too_wide, f"{name} is cut at {width} pixels"
        if PICTURE_FOLDER:
            target = Path(PICTURE_FOLDER) / f"{name.removesuffix('.html').replace('/', '-')}-{size}-{scheme}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=str(target))

    assert [expected_text for expected_text in complaints if not expected_text.startswith("data:")] == []
    context.close()


def test_site_search_finds_a_setting(address: str, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(f"{address}/index.html", timeout=LOADED)

    field = page.locator("input.md-search__input")
    field.click()
    field.press_sequentially("lookback_days")
    first = page.locator(".md-search-result__item a").first
    first.wait_for(timeout=LOADED)

    assert page.locator(".md-search-result__item").count() > 1
    page.close()
