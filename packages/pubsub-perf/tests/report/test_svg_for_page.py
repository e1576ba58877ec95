"""Figures made ready for a page: smaller, in colours that follow the page, complete."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from support import perf_analysis
from support.perf_figures import cell, log_normal

from pubsub_perf.plots import style
from pubsub_perf.plots.box_plot import box_figure
from pubsub_perf.plots.ecdf import ecdf_figure
from pubsub_perf.plots.residuals import residual_figure
from pubsub_perf.plots.scaling import scaling_figure
from pubsub_perf.report.svg_for_page import THEME, as_uri, for_page

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def figures() -> list[bytes]:
    cells = [
        cell(log_normal(6e-4, 3000), expected=3000, lost=0),
        cell(log_normal(4e-4, 300), model="decentralized"),
        cell(log_normal(4e-4, 300), model="data"),
    ]
    analysis = perf_analysis.analysis()
    drawings = (
        box_figure(cells),
        ecdf_figure(cells),
        scaling_figure(analysis),
        residual_figure(analysis),
    )
    return [drawing.render("svg") for drawing in drawings if drawing is not None]


def test_a_figure_becomes_much_smaller(figures: list[bytes]) -> None:
    for svg in figures:
        page = for_page(svg)
        assert len(page) < 0.65 * len(svg)
        assert len(as_uri(page)) < 1.2 * len(page)


def test_an_uri_holds_the_figure_and_fits_into_quotes(figures: list[bytes]) -> None:
    odd = (
        b"""<svg xmlns="http://www.w3.org/2000/svg"><style>.a{b:'c%20'}</style></svg>"""
    )
    for page in (odd, *map(for_page, figures)):
        uri = as_uri(page)
        assert not set('"<>&#\n') & set(uri)
        back = unquote(uri.removeprefix("data:image/svg+xml,"))
        assert ElementTree.canonicalize(back) == ElementTree.canonicalize(page)


def test_nothing_that_is_drawn_is_lost(figures: list[bytes]) -> None:
    for svg in figures:
        before, after = (ElementTree.fromstring(s) for s in (svg, for_page(svg)))
        for tag in ("path", "use", "image", "rect", "clipPath", "pattern"):
            count = len(list(before.iter(SVG + tag)))
            assert len(list(after.iter(SVG + tag))) == count, tag
        assert after.get("viewBox") == before.get("viewBox")


def test_every_reference_leads_somewhere(figures: list[bytes]) -> None:
    for svg in figures:
        page = for_page(svg).decode()
        ids = re.findall(r' id="([^"]*)"', page)
        assert len(set(ids)) == len(ids)
        wanted = re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', page)
        assert {a or b for a, b in wanted} == set(ids)
        classes = set(re.findall(r' class="([^"]*)"', page))
        assert classes <= set(re.findall(r"\.([a-z]+)\{", page))


def test_no_address_is_named_but_the_namespace(figures: list[bytes]) -> None:
    for svg in figures:
        addresses = re.findall(rb"[a-z]+://[^\"]*", for_page(svg))
        assert addresses == [b"http://www.w3.org/2000/svg"]


def test_every_colour_of_the_style_has_a_dark_one(figures: list[bytes]) -> None:
    known = {*THEME, *THEME.values(), style.ON_DARK, "#000000"}
    for svg in figures:
        colours = set(re.findall(r"#[0-9a-f]{6}\b", for_page(svg).decode()))
        shades = {c for c in colours - known if c[1:3] == c[3:5] == c[5:7]}
        assert shades == set()


def luminance(colour: str) -> float:
    """As WCAG 2 defines it."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("side", [lambda pair: pair[0], lambda pair: pair[1]])
def test_what_is_to_be_read_stands_out_on_its_paper(
    side: Callable[[tuple[str, str]], str],
) -> None:
    colours = {light: side((light, dark)) for light, dark in THEME.items()}
    paper = colours["#ffffff"]
    for text in (style.INK, style.MUTED, style.ALERT):
        assert contrast(colours[text], paper) > 4.5
    for model in ("centralized", "decentralized", "other"):
        look = style.of_model(model)
        assert contrast(colours[look.colour], paper) > 3
        # A picture of points is not recoloured: it must be seen on either.
        assert contrast(look.points, paper) > 2.5


def test_the_models_differ_without_colour() -> None:
    looks = [style.of_model(m).colour for m in ("centralized", "decentralized")]
    assert contrast(*looks) > 2
    assert contrast(*(THEME[colour] for colour in looks)) > 1


@pytest.mark.parametrize("text", ["", "<svg>", "no svg"])
def test_an_invalid_svg_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no SVG"):
        for_page(text.encode())


@pytest.mark.parametrize(
    ("path", "short"),
    [
        ("M 0 0 L 5 0 L 5 7 L 5.01 7.04 L 6 8 z M 6 8 L 7 8", "M0 0H5V7L6 8zM6 8H7"),
        ("M 1 2 L 1 2", "M1 2H1"),  # A dot, where lines have round ends.
        ("M 1 2 Q 3 4 5 6 L 5 9 z L 5 9", "M1 2Q3 4 5 6V9zL5 9"),
        ("M 1 2 C 3 4 5 6 7 8 L 9 8", "M1 2C3 4 5 6 7 8H9"),
    ],
)
def test_a_path_becomes_short_and_stays_the_same(path: str, short: str) -> None:
    page = for_page(f'<svg xmlns="{SVG[1:-1]}"><path d="{path}"/></svg>'.encode())
    assert f'd="{short}"' in page.decode()


def test_letters_are_drawn_on_a_coarser_grid() -> None:
    letter = b'<path d="M 684 794 L 1347 794 z" transform="scale(0.015625)"/>'
    page = for_page(b'<svg xmlns="http://www.w3.org/2000/svg">%b</svg>' % letter)
    assert b'd="M68 79H135z" transform="scale(0.15625)"' in page


def test_a_small_example_in_full() -> None:
    svg = b"""<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">
 <metadata><a/></metadata>
 <g id="unused"><g style="opacity: 0.123456"><path id="p" d="M 0 1.23456
L 2 3 z" style="fill: #1c1c1c"/></g></g>
 <use xlink:href="#p" transform="translate(1.555 2)"/>
</svg>"""
    page = for_page(svg).decode()
    assert page.endswith(
        '<g class="a"><path d="M0 1.2L2 3z" id="a" class="b" /></g>'
        '<use href="#a" x="1.6" y="2" /></svg>'
    )
    assert ".a{opacity:0.12}.b{fill:var(--b)}" in page
