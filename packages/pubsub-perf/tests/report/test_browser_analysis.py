"""The page of an analysis in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.perf_browser import Browser
from support.perf_sweeps import write_sweep

from pubsub_perf.plan import topologies
from pubsub_perf.report.analysis_page import write_analyses

NETWORKS = (
    *(topologies.single_switch(n) for n in (4, 6, 8, 10, 12, 14)),
    topologies.dumbbell(6),
)
VERDICTS = {"supported", "contradicted", "undecided"}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    busy = {("centralized", 9): "saturated"}
    write_sweep(folder, NETWORKS, runs=3, events=8, lose=1, fidelity=busy)
    (written,) = write_analyses(folder)
    return next(path for path in written.files if path.suffix == ".html")


@pytest.fixture
def page(browser: Browser, file: Path) -> Browser:
    browser.resize(1280, 900)
    browser.prefer("light")
    browser.open(file)
    return browser


def test_the_page_loads_without_a_complaint(page: Browser, file: Path) -> None:
    assert page.evaluate("document.title") == f"Analysis: {file.parent.name}"
    assert page.complaints() == []
    assert page.requests() == [file.as_uri()]


def test_the_five_verdicts_are_in_view(page: Browser) -> None:
    badges = page.evaluate(
        "[...document.querySelectorAll('.verdicts .badge')].map(b =>"
        " [b.textContent.trim(), b.getBoundingClientRect().width])"
    )
    assert len(badges) == 5
    for text, width in badges:
        assert text.split()[-1] in VERDICTS
        assert width > 40


def test_tables_can_be_sorted(page: Browser) -> None:
    page.click("table.data thead th button")
    assert page.evaluate("document.querySelector('[aria-sort=ascending]') !== null")


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_never_scrolls_sideways(page: Browser, width: int) -> None:
    page.resize(width, 844, phone=width < 500)
    # Folded parts are as wide as the rest.
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1] <= width


@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_what_is_to_be_read_has_most_of_the_width(page: Browser, width: int) -> None:
    page.resize(width, 844, phone=width < 500)
    wide = page.evaluate("document.querySelector('main').getBoundingClientRect().width")
    assert wide > 0.65 * width


def test_links_of_the_contents_lead_to_their_parts(page: Browser) -> None:
    lost = page.evaluate(
        "[...document.querySelectorAll('nav a')].map(a => a.hash.slice(1))"
        ".filter(id => !document.getElementById(id))"
    )
    assert lost == []


# The contrast of a text with its background, as WCAG 2 computes it.
CONTRASTS = """(() => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(c => c / 255).map(
      c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parts(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const shown = "h1, h2, h3, p, li, td, th, .badge, summary, th button";
  return [...document.querySelectorAll(shown)].map(element => {
    const [a, b] = [light(parts(getComputedStyle(element).color)), light(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    return [element.tagName + "." + element.className, contrast];
  });
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_in_light_and_dark(
    page: Browser, file: Path, scheme: str
) -> None:
    def background() -> Any:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    before = background()
    page.prefer(scheme)
    page.open(file)
    assert (background() != before) == (scheme == "dark")
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 100
    assert {name for name, contrast in contrasts if contrast < 4.5} == set()
