"""The report in a real browser: what a reader sees of it, and can do with it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from support.perf_browser import Browser, BrowserError
from support.perf_sweeps import write_sweep

from pubsub_perf.plan import topologies
from pubsub_perf.report.writer import write_report

NETWORKS = (
    topologies.single_switch(4),
    topologies.single_switch(10),
    topologies.tree(2, 3),
    topologies.dumbbell(6),
)
ENTER, SPACE = 13, 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    busy = {("centralized", 9): "saturated"}
    write_sweep(folder, NETWORKS, runs=3, events=8, lose=1, fidelity=busy)
    write_report(folder)
    return folder


@pytest.fixture
def page(browser: Browser, folder: Path) -> Browser:
    browser.resize(1280, 900)
    browser.prefer("light")
    browser.open(folder / "report.html")
    return browser


def column(page: Browser, header: str) -> list[str]:
    """The texts of a column of the table of results, from the top."""
    expression = f"""(() => {{
      const table = document.querySelector("#results ~ .scroll table");
      const index = [...table.tHead.rows[0].cells].findIndex(
        cell => cell.textContent.trim() === {json.dumps(header)});
      return [...table.tBodies[0].rows].map(row => row.cells[index].textContent.trim());
    }})()"""
    found: list[str] = page.evaluate(expression)
    return found


def select(header: str) -> str:
    """A selector of the button in a header of the table of results."""
    names = ["Network", "Model", "Hosts", "Pub. / sub.", "Expected", "Received", "Used"]
    names += ["Lost", "p50", "p90", "p99", "p99.9", "Max", "Outcome", "CPU pressure"]
    index = names.index(header) + 1
    return f"#results ~ .scroll thead th:nth-child({index}) button"


def state(page: Browser, header: str) -> Any:
    selector = json.dumps(select(header))
    return page.evaluate(
        f"document.querySelector({selector}).parentElement.getAttribute('aria-sort')"
    )


def numbers(texts: list[str]) -> list[float]:
    return [float(text.replace(",", "")) for text in texts if text != "n/a"]


def test_the_page_loads_without_a_complaint(page: Browser, folder: Path) -> None:
    assert page.evaluate("document.title") == f"Latency report: {folder.name}"
    assert page.complaints() == []


def test_the_page_asks_for_nothing_but_itself(page: Browser, folder: Path) -> None:
    assert page.requests() == [(folder / "report.html").as_uri()]


def test_the_policy_would_stop_a_request(page: Browser) -> None:
    with pytest.raises(BrowserError, match="Failed to fetch"):
        page.evaluate("fetch('http://127.0.0.1:9/')")


def test_every_figure_is_there_and_has_a_size(page: Browser, folder: Path) -> None:
    sizes = page.evaluate(
        "[...document.images].map(i => [i.naturalWidth, i.naturalHeight,"
        " i.getBoundingClientRect().width, i.getBoundingClientRect().height])"
    )
    assert len(sizes) == len(list((folder / "plots").glob("*.png"))) > 5 * len(NETWORKS)
    assert all(min(size) > 150 for size in sizes)
    for natural_wide, natural_high, wide, high in sizes:
        assert wide / high == pytest.approx(natural_wide / natural_high, rel=0.01)


def test_every_figure_is_described(page: Browser) -> None:
    texts = page.evaluate("[...document.images].map(i => i.alt)")
    assert all(len(text) > 40 for text in texts)


def test_a_header_sorts_up_down_and_back(page: Browser) -> None:
    before = column(page, "p50")
    assert state(page, "p50") == "none"
    page.click(select("p50"))
    up = column(page, "p50")
    assert state(page, "p50") == "ascending"
    assert up != before
    assert numbers(up) == sorted(numbers(before))
    page.click(select("p50"))
    assert state(page, "p50") == "descending"
    assert numbers(column(page, "p50")) == sorted(numbers(before), reverse=True)
    page.click(select("p50"))
    assert (state(page, "p50"), column(page, "p50")) == ("none", before)


def test_rows_stay_whole_when_sorted(page: Browser) -> None:
    names = ("Network", "Model", "p50", "Lost")
    before = sorted(zip(*(column(page, name) for name in names), strict=True))
    page.click(select("Max"))
    after = list(zip(*(column(page, name) for name in names), strict=True))
    assert sorted(after) == before


def test_names_are_sorted_by_the_numbers_in_them(page: Browser) -> None:
    page.click(select("Network"))
    single = [name for name in column(page, "Network") if name.startswith("single")]
    assert single[::2] == [f"single-switch-{n}hosts" for n in (4, 10)]


def test_values_that_are_not_numbers_are_sorted_to_the_end(page: Browser) -> None:
    assert "n/a" in column(page, "p99")
    for _ in range(2):
        page.click(select("p99"))
        found = column(page, "p99")
        assert found[-1] == "n/a"
        assert "n/a" not in found[: len(numbers(found))]


@pytest.mark.parametrize("key", [("Enter", ENTER, "\r"), (" ", SPACE, " ")])
def test_tables_can_be_sorted_from_the_keyboard(
    page: Browser, key: tuple[str, int, str]
) -> None:
    before = column(page, "Hosts")
    page.evaluate(f"document.querySelector({json.dumps(select('Hosts'))}).focus()")
    for _ in range(2):
        page.press(*key)
    assert state(page, "Hosts") == "descending"
    assert numbers(column(page, "Hosts")) == sorted(numbers(before), reverse=True)


def test_every_table_can_be_sorted(page: Browser) -> None:
    tables = page.evaluate(
        "[...document.querySelectorAll('table.data')].map(t =>"
        " [t.tHead.rows[0].cells.length, t.tHead.querySelectorAll('button').length])"
    )
    assert len(tables) >= 3
    assert all(cells == buttons for cells, buttons in tables)


def test_without_scripts_everything_can_still_be_read(page: Browser) -> None:
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        path = page.evaluate("location.pathname")
        page.events.clear()
        page.call("Page.reload")
        page.wait_for("Page.loadEventFired")
        root = page.call("DOM.getDocument")["root"]["nodeId"]
        found = {
            selector: len(
                page.call("DOM.querySelectorAll", nodeId=root, selector=selector)[
                    "nodeIds"
                ]
            )
            for selector in (
                "table.data tbody tr",
                "th button",
                "img",
                ".verdicts > li",
            )
        }
    finally:
        page.call("Emulation.setScriptExecutionDisabled", value=False)
    assert path.endswith("report.html")
    assert found["th button"] == 0
    assert found[".verdicts > li"] == 5
    assert found["table.data tbody tr"] > 2 * len(NETWORKS)
    assert found["img"] > 5 * len(NETWORKS)


def test_links_of_the_contents_lead_to_their_parts(page: Browser) -> None:
    broken = page.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].filter(a =>"
        " !document.getElementById(decodeURIComponent(a.hash.slice(1)))).length"
    )
    assert broken == 0


@pytest.mark.parametrize("width", [320, 390, 768, 1280, 1920])
def test_the_page_never_scrolls_sideways(page: Browser, width: int) -> None:
    page.resize(width, 844, phone=width < 500)
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1] <= width


@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_what_is_to_be_read_has_most_of_the_width(page: Browser, width: int) -> None:
    page.resize(width, 844, phone=width < 500)
    wide = page.evaluate("document.querySelector('main').getBoundingClientRect().width")
    assert wide > 0.65 * width


def test_letters_in_figures_can_be_read_on_a_phone(page: Browser) -> None:
    page.resize(390, 844, phone=True)
    scales = page.evaluate(
        "[...document.images].map(i =>"
        " i.getBoundingClientRect().width / i.getAttribute('width'))"
    )
    # The smallest letters are 7 points, which is 9.3 pixels.
    assert min(scales) * 9.3 > 6.5


def picture_is_dark(page: Browser) -> list[bool]:
    """Whether the corner of each figure is dark, as the browser draws it."""
    expression = """(async () => {
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = 8;
      const context = canvas.getContext("2d", { willReadFrequently: true });
      return [...document.images].map(image => {
        context.drawImage(image, 0, 0, 8, 8, 0, 0, 8, 8);
        const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
        return red + green + blue < 384;
      });
    })()"""
    found: list[bool] = page.evaluate(expression)
    return found


def test_page_and_figures_are_dark_where_the_reader_likes_it(
    page: Browser, folder: Path
) -> None:
    def background() -> Any:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert background() == "rgb(255, 255, 255)"
    assert not any(picture_is_dark(page))
    page.prefer("dark")
    page.open(folder / "report.html")
    assert background() == "rgb(19, 21, 24)"
    assert all(picture_is_dark(page))


COMPARE = """(async (first, second, width, height) => {
  const pixels = async source => {
    const image = new Image();
    image.src = source;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = width; canvas.height = height;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0, width, height);
    return context.getImageData(0, 0, width, height).data;
  };
  const [a, b] = [await pixels(first), await pixels(second)];
  let different = 0, drawn = 0;
  for (let i = 0; i < a.length; i += 4) {
    if (Math.abs(a[i] - b[i]) + Math.abs(a[i + 1] - b[i + 1]) > 200) different++;
    if (a[i] < 200) drawn++;
  }
  return [different / drawn, drawn];
})"""


def test_figures_on_the_page_look_as_their_files_do(
    page: Browser, folder: Path
) -> None:
    shown = page.evaluate("[...document.images].map(i => [i.src, i.width, i.height])")
    files = page.evaluate(
        "[...document.querySelectorAll('figcaption')].map(c => c.textContent)"
    )
    for (data, _, _), names in list(zip(shown, files, strict=True))[::4]:
        svg = (folder / names.split(", ")[1]).read_bytes()
        original = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
        arguments = json.dumps([data, original, 900, 700])
        different, drawn = page.evaluate(f"{COMPARE}(...{arguments})")
        assert drawn > 1000, names
        assert different < 0.05, names


def test_the_first_screen_has_verdicts_beside_the_headline_figure(
    page: Browser,
) -> None:
    boxes = page.evaluate(
        """["#verdicts", ".opening figure img"].map(selector => {
      const box = document.querySelector(selector).getBoundingClientRect();
      return [box.left, box.right, box.top];
    })"""
    )
    (_, verdicts_right, verdicts_top), (figure_left, figure_right, figure_top) = boxes
    assert verdicts_right <= figure_left
    assert figure_right <= 1280
    assert max(verdicts_top, figure_top) < 450
    alt = page.evaluate("document.querySelector('.opening img').alt")
    assert alt.startswith("Median and p99 of one-way latency")


def test_the_table_of_results_is_whole_on_a_screen_of_1280(page: Browser) -> None:
    wide, shown = page.evaluate(
        """(() => {
      const region = document.querySelector("#results ~ .scroll");
      return [region.scrollWidth, region.clientWidth];
    })()"""
    )
    assert wide == shown


def test_a_machine_that_could_not_keep_up_is_told_what_to_do(page: Browser) -> None:
    text = page.evaluate("document.querySelector('main .alert').innerText")
    assert "In 3 of 24 runs the machine was strained or saturated" in text
    assert "--" in text.partition("no verdict counts them")[2]
