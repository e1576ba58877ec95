"""Draws docs/diagrams/*.mmd as docs/images/*.svg, with Mermaid in a headless Chromium.

To be run after a change of a diagram: ``python scripts/diagrams.py``. It installs Mermaid from
npm into .tools/. Each drawing holds the digest of its source, which a test compares.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCES: Final = ROOT / "docs" / "diagrams"
DRAWINGS: Final = ROOT / "docs" / "images"
MERMAID: Final = "mermaid@11"
TOOLS: Final = ROOT / ".tools" / "mermaid"
_WAIT_MS: Final = 20_000

# Text is drawn as text, without HTML in it, so the file works as an image. The colours
# have enough contrast on the white ground that the drawing brings along.
_SETTINGS: Final = {
    "startOnLoad": False,
    "theme": "neutral",
    "htmlLabels": False,
    "fontFamily": "Helvetica, Arial, sans-serif",
    "sequence": {"actorMargin": 30, "width": 150, "mirrorActors": False, "wrap": True},
}

_PAGE: Final = """<!doctype html><meta charset="utf-8"><body><pre id="out"></pre>
<script src="{library}"></script><script>
mermaid.initialize({settings});
mermaid.render("drawing", {source}).then(({{svg}}) => {{
  const holder = document.createElement("div");
  holder.innerHTML = svg;
  const text = new XMLSerializer().serializeToString(holder.firstElementChild);
  const bytes = new TextEncoder().encode(text);
  document.getElementById("out").textContent =
    btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""));
}}).catch((error) => {{ document.getElementById("out").textContent = "!" + error; }});
</script></body>"""


def digest(source: Path) -> str:
    return hashlib.sha256(source.read_bytes()).hexdigest()


def library() -> Path:
    """Mermaid as one file, installed when it is not there yet."""
    path = TOOLS / "node_modules" / "mermaid" / "dist" / "mermaid.min.js"
    if not path.exists():
        TOOLS.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["npm", "install", "--silent", "--prefix", TOOLS, MERMAID], check=True
        )
    return path


def draw(source: Path, chromium: str) -> str:
    page = _PAGE.format(
        library=library().as_uri(),
        settings=json.dumps(_SETTINGS),
        source=json.dumps(source.read_text(encoding="utf-8")),
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.html"
        file.write_text(page, encoding="utf-8")
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--dump-dom")
        quiet = ("--no-first-run", "--disable-background-networking", "--disable-sync")
        done = subprocess.run(
            [
                *(chromium, *options, *quiet, f"--user-data-dir={folder}/profile"),
                *(f"--virtual-time-budget={_WAIT_MS}", file.as_uri()),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
    found = re.search(r'<pre id="out">(.*?)</pre>', done.stdout, re.S)
    text = html.unescape(found[1]) if found else "!Chromium showed no page"
    if text.startswith("!") or not text:
        sys.exit(f"{source.name}: {text[1:] or 'Mermaid drew nothing'}")
    svg = base64.b64decode(text).decode()
    svg = svg.replace("<svg ", f'<svg data-source-sha256="{digest(source)}" ', 1)
    return re.sub(r"max-width:[^;\"]*;", "background-color: white;", svg, count=1)


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None or shutil.which("npm") is None:
        sys.exit("drawing needs npm and Chromium (make browser installs Chromium)")
    for source in sorted(SOURCES.glob("*.mmd")):
        target = DRAWINGS / f"sequence-{source.stem}.svg"
        target.write_text(draw(source, chromium) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
