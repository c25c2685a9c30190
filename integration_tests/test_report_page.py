"""The report as a person sees it: in Chromium, wide and narrow, by day and by night."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from docextract_sandbox import NewExtraction, Sandbox
from integration_tests.filled import Row, fill_duckdb, sync_demo_twice

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_spec("altair") is None, reason="`make report-test` runs this in .venv-demo"),
]

PLOTS = {"straight-through", "side-by-side", "failures", "confidence", "time-to-completion"}
HOSTILE_NAME = "<img src=x onerror=alert(1)></script><script>alert(2)</script>.pdf"
SEPARATED = "first\u2028second\u2029third</script>"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DRAW_TIMEOUT = 30_000
"""Milliseconds: long enough for any machine; it takes less than one second."""


@dataclass
class OpenPage:
    """A page that is open, what it complained about, and what it asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def recipe_results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Row]]:
    from report.warehouse import run_recipes

    _, tables = sync_demo_twice(change_sandbox=add_hostile_document)
    return run_recipes(fill_duckdb(tmp_path_factory.mktemp("report") / "documents.duckdb", tables))


@pytest.fixture
def report(recipe_results: dict[str, list[Row]], tmp_path: Path) -> Path:
    """Of the demo, with a document whose name is a page of its own."""
    from report.page import write_page

    write_page(recipe_results, "documents.duckdb", tmp_path / "report.html")
    return tmp_path / "report.html"


def add_hostile_document(sandbox: Sandbox) -> None:
    template = sandbox.docmap.put_template(HOSTILE_NAME)
    sandbox.docmap.add_extractions(template, [NewExtraction(HOSTILE_NAME, 1.0, error=HOSTILE_NAME)])
    # Four documents of one template, which its week makes one of those with most: it is in the first chart.
    lines = sandbox.docmap.put_template(SEPARATED)
    sandbox.docmap.add_extractions(lines, [NewExtraction(f"{number}.pdf", 1.0, {"a": "b"}) for number in range(40)])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        executable = next(filter(None, map(shutil.which, BROWSERS)), playwright.chromium.executable_path)
        if not Path(executable).exists():
            pytest.fail(
                "There is no Chromium. On Debian: apt-get install chromium; elsewhere: playwright install chromium"
            )
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"] if root else [])
        yield browser
        browser.close()


@contextmanager
def open_page(
    browser: Any, report: Path, *, width: int = 1180, height: int = 840, scheme: str = "light"
) -> Iterator[OpenPage]:
    def dismiss_dialog(dialog: Any) -> None:
        browser_page.complaints.append(dialog.message)
        dialog.dismiss()

    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    browser_page = OpenPage(page)
    page.on("console", lambda message: browser_page.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: browser_page.complaints.append(str(error)))
    page.on("dialog", dismiss_dialog)
    page.on("request", lambda request: browser_page.requests.append(request.url))
    page.goto(report.as_uri())
    page.wait_for_selector("html[data-drawn]", timeout=DRAW_TIMEOUT)
    yield browser_page
    page.close()


def count_marks(page: Any) -> dict[str, int]:
    """How many marks each plot has that can be seen."""
    counted: dict[str, int] = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll(".plot")].map((plot) => [plot.dataset.spec,
          [".mark-rect path", ".mark-symbol path", ".mark-line path"].flatMap((kind) =>
            [...plot.querySelectorAll(`svg ${kind}`)]).filter((mark) => {
              const box = mark.getBoundingClientRect();
              return box.width > 1 && box.height > 1;
            }).length]))"""
    )
    return counted


@pytest.mark.parametrize(("width", "scheme"), [(1180, "light"), (1180, "dark"), (390, "light"), (390, "dark")])
def test_page_draws_every_plot_without_errors_or_requests(browser: Any, report: Path, width: int, scheme: str) -> None:
    with open_page(browser, report, width=width, scheme=scheme) as browser_page:
        drawn = count_marks(browser_page.page)
        widest = browser_page.page.evaluate("document.documentElement.scrollWidth")
        sizes = [plot.bounding_box() for plot in browser_page.page.query_selector_all(".plot svg")]

    assert drawn.keys() == PLOTS
    # Cells, parts of four bars, bars, and points of lines with the lines.
    least = {"straight-through": 60, "side-by-side": 8, "failures": 8, "confidence": 40, "time-to-completion": 25}
    assert {name: drawn[name] for name in PLOTS if drawn[name] < least[name]} == {}
    assert all(size["width"] > width / 4 and size["height"] > 100 for size in sizes)
    assert widest <= width
    assert browser_page.complaints == []
    assert [url for url in browser_page.requests if not url.startswith(("file:", "data:"))] == []


def test_page_hostile_names_are_shown_as_text(browser: Any, report: Path) -> None:
    with open_page(browser, report) as browser_page:
        label = browser_page.page.evaluate(
            """[...document.querySelectorAll("#failures svg text")].map((one) => one.textContent)"""
        )
        images = browser_page.page.query_selector_all("img")
        specs = browser_page.page.evaluate("""JSON.stringify(specs)""")

    assert any(text.startswith("<img src=x") for text in label)
    assert "first second third</script>" in specs
    assert HOSTILE_NAME in specs
    assert (images, browser_page.complaints) == ([], [])


def test_page_chart_rejected_by_vega_leaves_the_others_drawn(browser: Any, report: Path) -> None:
    page = report.read_text(encoding="utf-8")
    begin = '<script type="application/json" id="spec-failures">'
    assert begin in page
    report.write_text(page.replace(begin, f"{begin}not JSON "), encoding="utf-8")

    with open_page(browser, report) as browser_page:
        drawn = {name for name, number in count_marks(browser_page.page).items() if number}
        text = browser_page.page.inner_text("#failures .plot")

    assert drawn == PLOTS - {"failures"}
    assert text.startswith("This chart cannot be drawn (")


def test_page_time_axis_ticks_are_weeks(browser: Any, report: Path) -> None:
    ticks = """(name) => {
      const weeks = specs[name].layer[0].encoding.x.scale.domain;
      const axis = [...document.querySelectorAll(`#${name} .role-axis`)].find((one) => one.querySelector("line") &&
        [...one.querySelectorAll("text")].some((text) => text.textContent === "Week from"));
      const labels = [...axis.querySelectorAll(".role-axis-label text")].map((text) => text.textContent);
      return [weeks, axis.querySelectorAll(".role-axis-tick line").length, labels];
    }"""
    with open_page(browser, report) as browser_page:
        tick_labels = [
            browser_page.page.evaluate(ticks, name) for name in ("straight-through", "confidence", "time-to-completion")
        ]

    for weeks, number, labels in tick_labels:
        days = [date.fromisoformat(week) for week in weeks]
        assert {day.weekday() for day in days} == {0}
        assert number == len(days) > 8
        assert labels == [f"{day.day} {day:%b}" for day in days]


def test_page_heat_map_cells_have_numbers(browser: Any, report: Path) -> None:
    count = """(kind) => document.querySelectorAll(`#straight-through svg .${kind}.role-mark > *`).length"""
    with open_page(browser, report) as browser_page:
        cells, numbers = browser_page.page.evaluate(count, "mark-rect"), browser_page.page.evaluate(count, "mark-text")
        text = browser_page.page.evaluate(
            """document.querySelector("#straight-through svg .mark-text.role-mark").textContent"""
        )

    assert cells == numbers > 60
    assert "100%" in text


def test_page_wide_tables_show_a_scroll_hint_and_scroll_by_keyboard(browser: Any, report: Path) -> None:
    wide = """(width) => [...document.querySelectorAll(".frame")].filter((frame) => frame.offsetParent &&
      frame.firstElementChild.scrollWidth > frame.firstElementChild.clientWidth + 1)
      .map((frame) => [frame.classList.contains("cut-right"), getComputedStyle(frame, "::after").opacity,
        frame.firstElementChild.tabIndex])"""
    with open_page(browser, report) as browser_page:
        on_a_wide_screen = browser_page.page.evaluate(wide)
    with open_page(browser, report, width=390) as browser_page:
        on_a_narrow_one = browser_page.page.evaluate(wide)
        browser_page.page.focus("#stuck .wide")
        for _ in range(40):
            browser_page.page.keyboard.press("ArrowRight")
        browser_page.page.wait_for_function(
            """document.querySelector("#stuck .frame").className === "frame scrolls cut-left" ||
               document.querySelector("#stuck .frame").className === "frame cut-left scrolls" """,
            timeout=DRAW_TIMEOUT,
        )

    assert on_a_wide_screen == []
    assert len(on_a_narrow_one) >= 5
    assert on_a_narrow_one == [[True, "1", 0]] * len(on_a_narrow_one)


def test_page_dark_scheme_prints_in_light_colours_without_cut_tables(browser: Any, report: Path) -> None:
    look = """() => [getComputedStyle(document.body).backgroundColor,
      getComputedStyle(document.querySelector("#failures svg .role-axis-label text")).fill,
      getComputedStyle(document.querySelector(".hint")).display,
      [...document.querySelectorAll("main > section > .frame table")]
        .filter((table) => table.getBoundingClientRect().right > innerWidth).length]"""
    with open_page(browser, report, scheme="dark", width=720) as browser_page:
        browser_page.page.emulate_media(media="print", color_scheme="dark")
        assert browser_page.page.evaluate(look) == ["rgb(255, 255, 255)", "rgb(90, 101, 114)", "none", 0]


def test_page_change_to_dark_scheme_redraws_the_charts(browser: Any, report: Path) -> None:
    colour = """getComputedStyle(document.querySelector("#failures svg .role-axis-label text")).fill"""
    with open_page(browser, report) as browser_page:
        by_day = browser_page.page.evaluate(colour)
        browser_page.page.emulate_media(color_scheme="dark")
        browser_page.page.wait_for_function(f"{colour} !== {by_day!r}", timeout=DRAW_TIMEOUT)
        assert browser_page.page.evaluate("""getComputedStyle(document.body).backgroundColor""") == "rgb(18, 22, 28)"
        assert count_marks(browser_page.page).keys() == PLOTS


def test_page_screenshot_has_the_expected_size(
    browser: Any, recipe_results: dict[str, list[Row]], tmp_path: Path
) -> None:
    """The README's, where it is asked for; of the demo as it is, without the hostile document."""
    from report.page import write_page

    target = Path(os.environ.get("REPORT_PICTURE") or tmp_path / "report.png")
    plain = {
        name: [row for row in rows if not {HOSTILE_NAME, SEPARATED} & {*map(str, row.values())}]
        for name, rows in recipe_results.items()
    }
    write_page(plain, "documents.duckdb", tmp_path / "plain.html")
    with open_page(browser, tmp_path / "plain.html", height=1350) as browser_page:
        blank = browser_page.page.screenshot(clip={"x": 0, "y": 0, "width": 20, "height": 20})
        browser_page.page.screenshot(path=target)

    assert len(blank) < 1_000
    assert 20_000 < target.stat().st_size < 300_000
