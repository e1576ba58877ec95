"""Takes docs/images/page*.png, the broker's page during a real run in a headless Chromium, and
docs/images/watch.svg, the screen of ``pubsub-broker status --watch``.

The roles run as processes in a network namespace of their own, for about two minutes. One
subscriber is slow on purpose, so that the page has losses to show. It needs root, or user
namespaces, and Chromium (``make browser``).
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from pubsub_common.protocol.messages import Status

ROOT: Final = Path(__file__).resolve().parent.parent
IMAGES: Final = ROOT / "docs" / "images"
PROGRAMS: Final = Path(sys.executable).parent
PAGE: Final = "http://127.0.0.1:8080/"
RUN_S: Final = 90.0
COLOURS: Final = 128
COLUMNS: Final = 96
INSIDE: Final = "--inside"

# Name, topics, events a second, bytes.
PUBLISHERS: Final = (
    ("thermometer@roof", ("sensors/roof/temperature",), 50, 20),
    ("barometer@roof", ("sensors/roof/pressure", "sensors/roof/humidity"), 20, 20),
    ("camera@gate", ("camera/gate",), 30, 200_000),
    ("news-feed", ("news/sport", "news/weather"), 5, 200),
)
SUBSCRIBERS: Final = (
    ("dashboard@lab", ("sensors/#", "news/weather")),
    ("archive@cellar", ("#",)),
    ("alarm@phone", ("sensors/roof/temperature",)),
)
SLOW: Final = """
import time
from pubsub_subscriber import Subscriber

with Subscriber(
    topics=["camera/gate"], name="recorder@attic", queue_limit=1, queue_bytes=100_000,
    indefinite=True,
) as subscriber:
    for event in subscriber:
        time.sleep(0.4)
"""


def main() -> None:
    if INSIDE in sys.argv:
        take_pictures()
        return
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    script = 'hostname lab && PATH=$PATH:/usr/sbin:/sbin ip link set lo up && exec "$@"'
    words = [sys.executable, __file__, INSIDE]
    command = ["unshare", "--net", "--uts", *user, "--", "sh", "-c", script, "-"]
    sys.exit(subprocess.run([*command, *words]).returncode)


def start(*words: object) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    return subprocess.Popen([str(word) for word in words], stdout=quiet, stderr=quiet)


def roles() -> list[subprocess.Popen[bytes]]:
    """The processes of the run."""
    broker = PROGRAMS / "pubsub-broker"
    started = [start(broker, "-c", "--http", 8080, "--queue-bytes", 3_000_000)]
    for name, topics, rate, size in PUBLISHERS:
        words = [word for topic in topics for word in ("-t", topic)]
        pace = ("-i", "-s", 1 / rate, "--payload-size", size)
        program = PROGRAMS / "pubsub-publisher"
        started.append(start(program, *words, *pace, "--name", name))
    for name, topics in SUBSCRIBERS:
        words = [word for topic in topics for word in ("-t", topic)]
        program = PROGRAMS / "pubsub-subscriber"
        started.append(start(program, *words, "--raw", "--name", name))
    started.append(start(sys.executable, "-c", SLOW))
    started.append(start(PROGRAMS / "pubsub-subscriber", "-t", "news/#", "--raw"))
    return started


def take_pictures() -> None:
    sys.path.insert(0, str(ROOT / "tests"))
    from support.perf_browser import Browser, find_browser

    program = find_browser()
    if program is None:
        sys.exit("pictures need Chromium (make browser installs it)")
    processes = roles()
    try:
        check = [str(PROGRAMS / "pubsub-broker"), "check", "--wait", "--timeout", "30"]
        subprocess.run(check, check=True, stdout=subprocess.DEVNULL)
        with (
            tempfile.TemporaryDirectory() as folder,
            Browser(program, Path(folder) / "profile") as browser,
        ):
            browser.call("Emulation.setScrollbarsHidden", hidden=True)
            browser.resize(1280, 1060)
            browser.prefer("light")
            browser.call("Page.navigate", url=PAGE)
            browser.wait_for("Page.loadEventFired")
            time.sleep(RUN_S)
            for name, scheme, width, height in (
                ("page", "light", 1280, 1060),
                ("page-dark", "dark", 1280, 1060),
                ("page-phone", "light", 390, 844),
            ):
                browser.prefer(scheme)
                browser.resize(width, height, phone=width < 500)
                time.sleep(2.0)  # the page is drawn again each second
                browser.screenshot(IMAGES / f"{name}.png")
                shrink(IMAGES / f"{name}.png")
        draw_screen(IMAGES / "watch.svg")
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait()


def draw_screen(path: Path) -> None:
    """The screen of ``status --watch``, as it is a second after its start."""
    from rich.console import Console

    from pubsub_broker.monitoring.status_screen import screen

    before = asked_status()
    time.sleep(1.0)
    console = Console(width=COLUMNS, record=True, file=io.StringIO())
    console.print(screen(asked_status(), before, "", keys=True))
    drawn = console.export_svg(title="pubsub-broker status --watch")
    # The fonts of the reader's machine: the picture loads nothing.
    path.write_text(
        re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.S), encoding="utf-8"
    )


def asked_status() -> Status:
    words = [str(PROGRAMS / "pubsub-broker"), "status", "--json"]
    asked = subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout
    return msgspec.json.decode(asked, type=Status)


def shrink(path: Path) -> None:
    """Fewer colours: a third of the size, and no difference to see."""
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(COLOURS)
    small.save(path, optimize=True)


if __name__ == "__main__":
    main()
