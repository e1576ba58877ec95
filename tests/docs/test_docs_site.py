"""The docs as a site: it builds, nothing in it leads nowhere or is loaded from elsewhere, and
its tables of names and figures agree with the code and with ``docs/performance.md``."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from support import documents
from support.paths import ROOT
from support.perf_browser import Browser

import pubsub_common
from pubsub_broker import Broker
from pubsub_broker import cli as broker_cli
from pubsub_common.cli import console_script
from pubsub_common.cli.words import OTHER_NAMES
from pubsub_common.protocol import messages
from pubsub_perf import (
    CentralizedPerformanceTest,
    DecentralizedPerformanceTest,
    driver,
)
from pubsub_publisher import Publisher
from pubsub_publisher import cli as publisher_cli
from pubsub_subscriber import Subscriber
from pubsub_subscriber import cli as subscriber_cli

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TOOLS = ("mkdocs", "material", "mkdocstrings", "mkdocstrings_handlers")

# What the original's documentation names, in its order.
ORIGINAL_OPTIONS = (
    *("-v", "--verbose", "-pub", "--publisher", "-sub", "--subscriber", "--broker"),
    *("-f", "--filename", "-c", "--centralized", "-t", "--topic", "--topics"),
    *("-b", "--broker_address", "-i", "--indefinite", "-m", "--max_event_count"),
    *("-bp", "--bind_port", "-s", "--sleep"),
)
ORIGINAL: dict[str, tuple[list[type], list[str], list[str]]] = {
    "Publisher": (
        [Publisher],
        [
            *("broker_address", "topics", "indefinite", "max_event_count"),
            *("sleep_period", "bind_port"),
        ],
        [
            *("configure", "setup_port_binding", "register_pub", "get_host_address"),
            *("generate_publish_event", "publish", "disconnect"),
        ],
    ),
    "Subscriber": (
        [Subscriber],
        [
            *("filename", "broker_address", "topics", "indefinite"),
            *("max_event_count", "centralized"),
        ],
        [
            *("configure", "register_sub", "parse_publish_event", "notify"),
            *("write_stored_messages", "get_host_address", "disconnect"),
            *("setup_broker_topic_port_connections", "setup_notification_polling"),
            *("setup_publisher_direct_connections", "parse_notification"),
        ],
    ),
    "Broker": (
        [Broker],
        ["centralized", "indefinite", "max_event_count"],
        [
            *("configure", "parse_events", "event_loop", "update_receive_socket"),
            *("send", "get_clear_port", "disconnect_sub", "register_sub"),
            *("notify_subscribers", "disconnect_pub", "register_pub"),
            *("get_host_address", "update_send_socket", "disconnect"),
        ],
    ),
    "Performance tests": (
        [CentralizedPerformanceTest, DecentralizedPerformanceTest],
        ["num_events", "event_interval", "wait_factor"],
        ["setWaitFactor", "test_tree_topology", "test_single_switch_topology"],
    ),
}


def section(page: Path, title: str) -> str:
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert found, f"{page.name} has no section {title!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of all rows of tables, without headings and the lines below them."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[each.strip() for each in line.split("|")[1:-1]] for line in lines]
    ruled = {at for at, row in enumerate(cells) if all(set(c) <= {*":-"} for c in row)}
    return [r for at, r in enumerate(cells) if not {at, at + 1} & ruled]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# Links in the markdown


def without_code(text: str) -> str:
    text = re.sub(r"^( *)```.*?^\1```", "", text, flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "code", text)


def links(path: Path) -> list[str]:
    text = without_code(path.read_text(encoding="utf-8"))
    return re.findall(r"\]\(([^)\s]+)\)", text)


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as Python-Markdown makes them."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"^( *)```.*?^\1```", "", text, flags=re.M | re.S)
    made: set[str] = set()
    for title in re.findall(r"^#+ +(.+)$", text, re.M):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).encode("ascii", "ignore")
        anchor = re.sub(r"[^\w\s-]", "", plain.decode()).strip().lower()
        anchor = base = re.sub(r"[-\s]+", "-", anchor)
        number = 0
        while anchor in made:
            number += 1
            anchor = f"{base}_{number}"
        made.add(anchor)
    return made


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(DOCS)) for p in PAGES])
def test_links_lead_to_a_file_and_a_heading_in_docs(page: Path) -> None:
    for link in links(page):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme == "https", link
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        assert target.is_relative_to(DOCS), f"{link} is not part of the site"
        assert target.is_file(), link
        if parts.fragment and not target.is_relative_to(DOCS / "api"):
            assert parts.fragment in anchors(target), link


def test_every_page_is_in_the_navigation() -> None:
    # Read as text: PyYAML is there only with the docs' tools.
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    navigation = config.split("\nnav:\n")[1].split("\n\n")[0]
    named = re.findall(r"([\w./-]+\.md)$", navigation, re.M)
    found = {page.relative_to(DOCS).as_posix() for page in PAGES}
    left_out = {
        name for name in found if re.fullmatch(r"examples/.+/analysis\.md", name)
    }
    assert sorted(named) == sorted(found - left_out), "mkdocs.yml: nav"


def test_every_public_name_is_in_the_api() -> None:
    told = "".join(page.read_text() for page in (DOCS / "api").glob("*.md"))
    shown = set(re.findall(r"^::: ([\w.]+)$", told, re.M))
    for package in ("common", "broker", "publisher", "subscriber", "perf"):
        module = importlib.import_module(f"pubsub_{package}")
        for name in set(module.__all__) - {"__version__"}:
            public = getattr(module, name)
            assert f"{public.__module__}.{name}" in shown, (
                f"{name} of {module.__name__}"
            )
    for name in ("publisher", "subscriber"):
        assert f"pubsub_{name}.aio.{name.title()}" in shown


@pytest.mark.parametrize("role", [Broker, Publisher, Subscriber])
def test_every_method_is_in_one_group_of_its_api_page(role: type) -> None:
    name = role.__name__
    told = (DOCS / "api" / f"{name.lower()}.md").read_text(encoding="utf-8")
    shown = re.findall(rf"^::: {role.__module__}.{name}\.(\w+)$", told, re.M)
    public = {each for each in dir(role) if not each.startswith("_")}
    assert sorted(shown) == sorted(public | {"__init__"} | ({"__iter__"} & set(shown)))
    assert shown[-1] == "__init__"  # the long list of arguments is at the end


# The tables of docs/migration.md


MIGRATION = DOCS / "migration.md"


def parsed(spelling: str) -> Any:
    """What the driver makes of an option, with a value where it needs one."""
    for words in ([spelling, "1"], [spelling]):
        try:
            options = console_script.parse(driver.USAGE, words, driver.PROGRAM, "0")
        except SystemExit:
            continue
        return options.sources if hasattr(options, "sources") else options
    raise AssertionError(f"pubsub-driver has no {spelling}")


def long_options(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text))


def test_the_table_has_every_option_of_the_original() -> None:
    told = [
        name
        for row in rows(section(MIGRATION, "The driver"))
        if len(row) == 3
        for name in names(row[0])
    ]
    assert sorted(told) == sorted(ORIGINAL_OPTIONS)


def test_the_driver_has_every_option_that_the_table_names() -> None:
    available = long_options(driver.USAGE)
    for row in rows(section(MIGRATION, "The driver")):
        original, here = names(row[0]), names(row[1])
        if len(row) == 2:
            assert available >= set(original), row
            continue
        long = next(name for name in here if name.startswith("--"))
        assert long in available
        for spelling in (*original, *here):
            assert long in parsed(spelling), spelling


def test_every_option_in_its_text_exists() -> None:
    text = MIGRATION.read_text(encoding="utf-8")
    usages = (publisher_cli.USAGE, subscriber_cli.USAGE, broker_cli.USAGE, driver.USAGE)
    known = long_options("".join(usages)) | {"--out", "--topics"}  # of sweep
    known |= {f"--{name}" for name in OTHER_NAMES}
    known |= {option.replace("-", "_").replace("__", "--", 1) for option in known}
    assert long_options(text) <= known


@pytest.mark.parametrize("title", ORIGINAL)
def test_the_table_has_every_name_of_a_class_and_the_class_has_it(title: str) -> None:
    classes, arguments, methods = ORIGINAL[title]
    table = rows(section(MIGRATION, title))
    told = [name for row in table for name in names(row[0])]
    assert told == [*arguments, *(f"{method}()" for method in methods)]
    for row in table:
        assert names(row[0]) == names(row[1]), "the names have not changed"
    for each in classes:
        parameters = list(inspect.signature(each).parameters.values())
        ours = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert ours == arguments
        for method in methods:
            assert callable(getattr(each, method))


@pytest.mark.parametrize("title", ORIGINAL)
def test_every_name_in_its_last_column_exists(title: str) -> None:
    each = ORIGINAL[title][0][0]
    functions: list[Any] = [each]
    functions += [f for _, f in inspect.getmembers(each, inspect.isfunction)]
    arguments = {name for f in functions for name in inspect.signature(f).parameters}
    for row in rows(section(MIGRATION, title)):
        for name in names(row[2]):
            if name.endswith("()"):
                assert hasattr(each, name[:-2]), row
            elif name.isidentifier() and name.islower():
                assert name in arguments, row
            elif name.isidentifier():
                assert hasattr(pubsub_common, name) or hasattr(messages, name), row


def test_the_defaults_that_it_states_are_those() -> None:
    for option, value in (("--count", "15"), ("--sleep", "1")):
        assert re.search(rf"{option} .*?(default: |after ){value}", driver.USAGE, re.S)
    for row in rows(section(MIGRATION, "The driver")):
        if "`--max_event_count`" in row[0]:
            assert row[2].startswith("the default is 15")
        elif "`--sleep`" in row[0]:
            assert row[2].endswith("The default is 1")
        elif "`--bind_port`" in row[0]:
            assert row[2].endswith("The default is 5556")
    parameters = inspect.signature(Publisher).parameters
    assert parameters["max_event_count"].default == 15
    assert parameters["sleep_period"].default == 1
    assert parameters["bind_port"].default == 5556
    parameters = inspect.signature(CentralizedPerformanceTest).parameters
    for row in rows(section(MIGRATION, "Performance tests")):
        if (name := names(row[0])[0]) in parameters:
            assert row[2].startswith(f"{parameters[name].default:g} by default")


# Figures


def tables() -> Any:
    """scripts/performance_tables.py."""
    file = ROOT / "scripts" / "performance_tables.py"
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_have_the_figures_of_the_benchmarks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert (tables().main(["--check"]), capsys.readouterr().out) == (0, "")


def test_all_rows_or_those_that_are_there_are_made_anew() -> None:
    stale = "| 1 | direct, 64 B: events/s | 9.99 |\n"
    folder = DOCS / "benchmarks"

    table = tables().page(f"<!-- table: bars -->\n{stale}<!-- end -->\n", folder)
    copied = tables().page(f"<!-- rows: bars -->\n{stale}<!-- end -->\n", folder)

    assert table.count("\n") > 30
    assert copied.count("\n") == 3
    assert copied.splitlines()[1] in table.splitlines()
    assert "9.99" not in table + copied


# The first page


def test_the_first_page_has_the_readmes_first_minute_and_code_that_works(
    tmp_path: Path,
) -> None:
    page = DOCS / "index.md"
    assert '--8<-- "README.md:first-minute"' in page.read_text(encoding="utf-8")
    assert documents.blocks("sh", page) == []
    for block in documents.blocks("python", page):
        assert len(documents.run_python(block, tmp_path)) == 2


# The site


class Asked(HTMLParser):
    """What a page loads by itself, and where its links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if "id" in values:
            self.ids.add(values["id"])
        if "src" in values:
            self.loaded.append(values["src"])
        if tag == "link" and values.get("rel") not in ("next", "prev", "canonical"):
            self.loaded.append(values.get("href", ""))
        if tag == "a" and "href" in values:
            self.linked.append(values["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    for tool in TOOLS:
        if importlib.util.find_spec(tool) is None:
            why = f"{tool} is not installed: make docs"
            if os.environ.get("CI"):
                pytest.fail(f"no docs in CI: {why}")
            pytest.skip(why)
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "--strict",
            "--site-dir",
            str(folder),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    yield folder
    shutil.rmtree(folder)


def read(page: Path) -> Asked:
    asked = Asked()
    asked.feed(page.read_text(encoding="utf-8"))
    return asked


def test_the_site_is_whole_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = {page: read(page) for page in site.rglob("*.html") if page.stem != "404"}
    assert len(pages) > 20
    start = (site / "index.html").read_text(encoding="utf-8")
    assert "sunny in Lisbon" in start
    assert "--8&lt;--" not in start
    for page, asked in pages.items():
        for address in (*asked.loaded, *asked.linked):
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                assert address not in asked.loaded, f"{page.name} loads {address}"
                continue
            path = unquote(parts.path)
            target = (page.parent / path).resolve() if path else page
            assert target.is_file(), f"{page.name}: {address}"
            if parts.fragment and target in pages:
                ids = pages[target].ids
                assert unquote(parts.fragment) in ids, f"{page.name}: {address}"
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert not re.search(r"(url\(|@import )[\"']?(https?:)?//", text), sheet


def test_the_api_pages_show_signatures_and_docstrings(site: Path) -> None:
    for name, words in (
        ("publisher", ("wait_for_subscribers", "Publishes events on topics")),
        ("subscriber", ("on_gap", "Receives the events of topics")),
        ("broker", ("event_loop", "Registers publishers and subscribers")),
        ("asyncio", ("publish_json", "for asyncio")),
        ("values", ("published_ns", "recovered")),
        ("errors", ("waited_s", "Base of all errors")),
        ("testing", ("pubsub_broker", "wait_for")),
    ):
        text = (site / "api" / f"{name}.html").read_text(encoding="utf-8")
        for word in words:
            assert word in text, f"{name}: {word}"


SEARCH = """(async () => {
  document.querySelector("label[for=__search]").click();
  const field = document.querySelector("[data-md-component=search-query]");
  for (let turn = 0; turn < 300; turn += 1) {
    field.focus();
    field.value = "lease" + " ".repeat(turn % 2);
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.dispatchEvent(new KeyboardEvent("keyup", { bubbles: true }));
    await new Promise((done) => setTimeout(done, 200));
    const found = document.querySelectorAll(".md-search-result__link");
    if (found.length) return [...found].map((each) => each.href).join(" ");
  }
  return "";
})()"""


def test_search_works_where_the_site_is_read_as_files(
    site: Path, browser: Browser
) -> None:
    browser.open(site / "api" / "broker.html")
    assert "protocol.html" in browser.evaluate(SEARCH)
    assert browser.complaints() == []
    assert all(each.startswith("file:") for each in browser.requests())
