"""What the docs say of folders, modules and options is what the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.paths import DOCS

import diagrams
import reference_tables

PICTURE = (DOCS / "images" / "architecture.svg").read_text("utf-8")


@pytest.mark.parametrize("page", reference_tables.pages(), ids=lambda page: page.name)
def test_the_tables_of_a_page_are_up_to_date(page: Path) -> None:
    text = page.read_text("utf-8")
    assert reference_tables.renewed(text) == text, "run `make tables`"


def test_every_table_is_on_a_page() -> None:
    text = "".join(page.read_text("utf-8") for page in reference_tables.pages())
    assert set(re.findall(r"<!-- table: (\S+) -->", text)) == set(
        reference_tables.TABLES
    )


@pytest.mark.parametrize("package", reference_tables.PACKAGES)
def test_the_picture_has_every_folder_of_a_package(package: str) -> None:
    group = re.search(rf'<g id="pubsub-{package}">(.*?)</g>', PICTURE, re.DOTALL)
    assert group is not None
    words = set(re.findall(r"[a-z_]+", re.sub(r"<[^>]*>", " ", group[1])))
    top, *folders = reference_tables.folders(package)
    assert {folder.name for folder in folders if folder.parent == top} <= words


@pytest.mark.parametrize(
    "source", sorted(diagrams.SOURCES.glob("*.mmd")), ids=lambda path: path.stem
)
def test_a_drawing_is_of_its_source(source: Path) -> None:
    drawing = diagrams.DRAWINGS / f"sequence-{source.stem}.svg"
    assert f'"{diagrams.digest(source)}"' in drawing.read_text("utf-8"), (
        "run `python scripts/diagrams.py`"
    )
