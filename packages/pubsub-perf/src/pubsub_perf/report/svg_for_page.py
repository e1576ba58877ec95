"""Makes a figure's SVG ready for a page: small, and in the page's colours.

matplotlib writes each style in full at each element, six decimals and a name for every
group. Here styles become classes, numbers are rounded to the resolution of a screen, unused
names are removed, and the colours of `pubsub_perf.plots.style` become variables
with a light and a dark value. The drawing stays the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote
from xml.etree import ElementTree  # nosec B405

_SVG: Final = "http://www.w3.org/2000/svg"
_XLINK: Final = "{http://www.w3.org/1999/xlink}href"
_FINE: Final = re.compile(r"-?\d+\.\d{3,}")
_NUMBER: Final = re.compile(r"-?\d+\.\d{2,}")
_URL: Final = re.compile(r"url\(#([^\s)]+)\)")
_MOVED: Final = re.compile(r"translate\((\S+) (\S+)\)")
_STEP: Final = re.compile(r"([A-Za-z])([^A-Za-z]*)")
_NUMBERS: Final = re.compile(r"-?\d+(?:\.\d+)?")
# Letters are drawn on a grid of some 1/600 point; a tenth of that is fine enough.
_LETTER: Final = "scale(0.015625)"
_COARSER: Final = "scale(0.15625)"
# In an URI within double quotes.
_AS_THEY_ARE: Final = " /:;,=()*+-._!?@[]{}|~$'"
_COLOUR: Final = re.compile(r"#[0-9a-f]{6}")

# Light colour: dark colour. The same hues, light enough on dark paper.
THEME: Final[Mapping[str, str]] = {
    "#ffffff": "#1a1d20",  # paper, rims of marks
    "#1c1c1c": "#e8e8e8",  # ink
    "#555555": "#b3b8bd",  # muted
    "#6e6e6e": "#a0a5aa",
    "#4d4d4d": "#b9bec3",  # neither model
    "#d9d9d9": "#3a3f45",  # grid
    "#b4b4b4": "#5c6269",  # faint
    "#ececec": "#2a2e33",  # shade
    "#9c2c00": "#ffb48a",  # alert
    "#0a4a80": "#6db5f5",  # centralized
    "#c6d9ea": "#1d3f5c",
    "#d55e00": "#ff9142",  # decentralized
    "#fce4d2": "#553017",
    "#e4e4e4": "#393d42",
}


def for_page(svg: bytes) -> bytes:
    """The figure as an SVG image for a page.

    Raises:
        ValueError: this is not an SVG.
    """
    try:
        # From matplotlib, which has just drawn it.
        root = ElementTree.fromstring(svg.decode("utf-8"))  # nosec B314
    except ElementTree.ParseError as error:
        raise ValueError(f"no SVG: {error}") from error
    classes: dict[str, str] = {}
    names = {name: _name(i) for i, name in enumerate(dict.fromkeys(_references(root)))}
    for element in root.iter():
        _shrink(element, classes, names)
    for _ in range(2):
        _flatten(root)
    sheet = ElementTree.Element(f"{{{_SVG}}}style")
    sheet.text = _rules(classes)
    root.insert(0, sheet)
    ElementTree.register_namespace("", _SVG)
    return ElementTree.tostring(root, encoding="unicode").encode()


def as_uri(page_svg: bytes) -> str:
    """The figure as a data URI, shorter than with Base64. There is no double
    quote, angle bracket or ampersand in it."""
    text = page_svg.decode().replace("'", "&apos;").replace('"', "'")
    return f"data:image/svg+xml,{quote(text, safe=_AS_THEY_ARE)}"


def _shrink(
    element: ElementTree.Element, classes: dict[str, str], names: Mapping[str, str]
) -> None:
    element.text = None if not (element.text or "").strip() else element.text
    element.tail = None
    attributes = element.attrib
    _rename(attributes, names)
    paint = [f"{k}: {attributes.pop(k)}" for k in ("fill", "stroke") if k in attributes]
    style = "; ".join([*paint, attributes.pop("style", "")]).strip("; ")
    if style:
        attributes["class"] = classes.setdefault(_compact(style), _name(len(classes)))
    for key in ("x", "y", "points", "width", "height"):
        if key in attributes:
            attributes[key] = " ".join(_rounded(attributes[key]).split())
    if "d" in attributes:
        path = attributes["d"]
        if attributes.get("transform") == _LETTER:
            path = _NUMBERS.sub(lambda m: f"{float(m[0]) / 10:.0f}", path)
            attributes["transform"] = _COARSER
        attributes["d"] = _short_path(_rounded(path))
    moved = _MOVED.fullmatch(attributes.get("transform", ""))
    if moved and element.tag == f"{{{_SVG}}}use" and "x" not in attributes:
        del attributes["transform"]
        place = {"x": _rounded(moved[1]), "y": _rounded(moved[2])}
        attributes.update({key: value for key, value in place.items() if value != "0"})
    if "transform" in attributes:
        parts = re.split(r"(scale\([^)]*\))", attributes["transform"])
        attributes["transform"] = "".join(
            part if part.startswith("scale") else _rounded(part) for part in parts
        )


def _short_path(path: str) -> str:
    """A path without needless spaces, steps of length 0, and unchanged coordinates. Steps are
    absolute, as matplotlib writes them."""
    made: list[str] = []
    at = ["", ""]
    before = "M"
    for step, text in _STEP.findall(path):
        numbers = text.split()
        kept = f"{step}{' '.join(numbers)}"
        if step == "L" and len(numbers) == 2:
            if numbers == at and before != "M":
                continue
            if numbers[1] == at[1]:
                kept = f"H{numbers[0]}"
            elif numbers[0] == at[0]:
                kept = f"V{numbers[1]}"
        made.append(kept)
        # What closes a path goes back to where it began: nothing is known of that.
        at = numbers[-2:] if len(numbers) > 1 else ["", ""]
        before = step
    return "".join(made)


def _rename(attributes: dict[str, str], names: Mapping[str, str]) -> None:
    """Give elements with references a short name, and others none."""
    own = attributes.pop("id", "")
    if own in names:
        attributes["id"] = names[own]
    link = attributes.pop(_XLINK, None)
    if link is not None:
        inside = link.startswith("#")
        attributes["href"] = f"#{names[link[1:]]}" if inside else link.replace("\n", "")
    for key, value in attributes.items():
        if "url(#" in value:
            attributes[key] = _URL.sub(lambda m: f"url(#{names[m[1]]})", value)


def _references(root: ElementTree.Element) -> Iterator[str]:
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == _XLINK and value.startswith("#"):
                yield value[1:]
            yield from _URL.findall(value)


def _compact(style: str) -> str:
    fine = _FINE.sub(lambda match: f"{float(match[0]):.2f}", style)
    return fine.replace(": ", ":").replace("; ", ";").strip(";")


def _rounded(text: str) -> str:
    return _NUMBER.sub(lambda m: f"{float(m[0]):.1f}".removesuffix(".0"), text)


def _name(number: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    name = letters[number % 26]
    while number >= 26:
        number = number // 26 - 1
        name = letters[number % 26] + name
    return name


def _flatten(parent: ElementTree.Element) -> None:
    """Remove groups without attributes, and empty groups."""
    children = []
    for child in list(parent):
        _flatten(child)
        bare = child.tag in (f"{{{_SVG}}}g", f"{{{_SVG}}}metadata") and not child.attrib
        if child.tag == f"{{{_SVG}}}metadata":
            continue
        children += list(child) if bare else [child]
    parent[:] = children


def _rules(classes: Mapping[str, str]) -> str:
    names = {light: f"--{_name(i)}" for i, light in enumerate(THEME)}
    light = ";".join(f"{names[colour]}:{colour}" for colour in THEME)
    dark = ";".join(f"{names[colour]}:{dark}" for colour, dark in THEME.items())

    def variable(match: re.Match[str]) -> str:
        return f"var({names[match[0]]})" if match[0] in names else match[0]

    rules = [
        f"svg{{{light}}}",
        f"@media(prefers-color-scheme:dark){{svg{{{dark}}}}}",
    ]
    rules += [f".{name}{{{_COLOUR.sub(variable, s)}}}" for s, name in classes.items()]
    return "".join(rules)
