"""A headless Chromium, driven over its DevTools pipe: no driver, no port, no library.

Messages are JSON objects ended by a zero byte, on file descriptors 3 (to the browser)
and 4 (from it); see https://chromedevtools.github.io/devtools-protocol/.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Generous: the machine may be busy with a sweep.
_PATIENCE_S: Final = 90.0
_LOADED: Final = (
    "new Promise(done => document.readyState == 'complete' ? done()"
    " : addEventListener('load', () => done()))"
)
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")


class BrowserError(Exception):
    """The browser did not answer, or answered with an error."""


def find_browser() -> str | None:
    """The path of a Chromium; None where there is none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


class Browser:
    """One page of a separate browser, with an empty profile in ``profile``. ``events``
    has all its events."""

    def __init__(self, program: str, profile: Path) -> None:
        self.events: list[dict[str, Any]] = []
        self._numbers = itertools.count(1)
        self._buffer = b""
        to_read, self._to = os.pipe()
        self._from, from_write = os.pipe()
        command = [program, *FLAGS, f"--user-data-dir={profile}"]
        command += ["--remote-debugging-pipe", "about:blank"]
        redirected = f'exec "$@" 3<&{to_read} 4>&{from_write}'
        with (profile.parent / "chromium.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", redirected, "bash", *command],
                pass_fds=(to_read, from_write),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        os.close(to_read)
        os.close(from_write)
        self._session: str | None = None

    def __enter__(self) -> Self:
        try:
            targets = self.call("Target.getTargets")["targetInfos"]
            page = next(target for target in targets if target["type"] == "page")
            attach = {"targetId": page["targetId"], "flatten": True}
            self._session = self.call("Target.attachToTarget", **attach)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the browser, and wait until it has ended."""
        self._session = None
        try:
            self._send("Browser.close", {})
            self._process.wait(timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        finally:
            os.close(self._to)
            os.close(self._from)

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Call a method of the protocol; its result.

        Raises:
            BrowserError: it failed, or there was no answer in time.
        """
        number = self._send(method, arguments)
        while True:
            message = self._receive()
            if message.get("id") == number:
                if "error" in message:
                    raise BrowserError(f"{method}: {message['error']}")
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page; promises are waited for."""
        answer = self.call(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
        )
        if "exceptionDetails" in answer:
            raise BrowserError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def open(self, page: Path | str) -> None:
        """Load a file or a URL, and wait until it and its pictures are there."""
        self.events.clear()
        url = page if isinstance(page, str) else page.resolve().as_uri()
        self.call("Page.navigate", url=url)
        self.wait_for("Page.loadEventFired")
        # That may have been the page before.
        self.evaluate(_LOADED)
        self.evaluate("Promise.all([...document.images].map(i => i.decode()))")

    def wait_for(self, method: str) -> None:
        """Wait until an event of this name has come since the page was opened.

        Raises:
            BrowserError: it did not come in time.
        """
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._receive())

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        """Show the page as on a screen of this many CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )

    def prefer(self, scheme: str) -> None:
        """``light`` or ``dark``."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def click(self, selector: str) -> None:
        """Click in the middle of an element, as a mouse does."""
        spot = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center', inline: 'center'});"
            "const r = e.getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=spot[0],
                y=spot[1],
                button="left",
                clickCount=1,
            )

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key: its name, its number, and the text that it writes."""
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """A PNG of the visible part, or of the whole page."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[str]:
        """Errors and warnings that the console showed since the page was opened."""
        found = []
        for event in self.events:
            method, about = event.get("method"), event.get("params", {})
            if method == "Log.entryAdded":
                entry = about["entry"]
                if entry["level"] in ("error", "warning"):
                    found.append(f"{entry['level']}: {entry['text']}")
            elif method == "Runtime.exceptionThrown":
                found.append(str(about["exceptionDetails"]))
            elif method == "Runtime.consoleAPICalled":
                found.append(f"{about['type']}: {about['args']}")
        return found

    def requests(self) -> list[str]:
        """Every address that was requested since the page was opened, except data URIs."""
        addresses = [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]
        return [address for address in addresses if not address.startswith("data:")]

    def _send(self, method: str, arguments: dict[str, Any]) -> int:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": arguments}
        if self._session is not None:
            message["sessionId"] = self._session
        content = json.dumps(message).encode() + b"\0"
        while content:
            content = content[os.write(self._to, content) :]
        return number

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + _PATIENCE_S
        while b"\0" not in self._buffer:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([self._from], [], [], left_s)[0]:
                raise BrowserError(f"no answer within {_PATIENCE_S:.0f} s")
            piece = os.read(self._from, 2**20)
            if not piece:
                raise BrowserError(f"the browser has ended ({self._process.poll()})")
            self._buffer += piece
        content, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(content)
        return message
