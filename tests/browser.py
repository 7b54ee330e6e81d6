"""A headless Chromium for the tests of pages, spoken to through a pipe: no driver, no network.

What is found of `chromium`, `chromium-browser` or `google-chrome` is used, or the program that
ENTLINK_BROWSER names. The protocol is Chromium's own (https://chromedevtools.github.io): JSON
messages that end in a zero byte, to file descriptor 3 and from file descriptor 4.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_TIMEOUT_S = 60
_OPTIONS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # whatever a page asks for, nothing is reached
)
_CODES = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39, " ": 32}


def find_browser() -> str | None:
    """The program, None if there is none."""
    named = os.environ.get("ENTLINK_BROWSER")
    return named or next((found for name in _NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page in one browser."""

    def __init__(self, to: int, answers: int) -> None:
        self._to, self._answers = to, answers
        self._waiting = b""
        self._number = 0
        self._session = ""
        self.requests: list[str] = []  # addresses that pages asked for
        self.console: list[str] = []  # errors that pages made
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol; its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])

    def open(self, page: Path) -> None:
        """Open a page and wait until its script says that it is ready."""
        self.evaluate("document.documentElement.removeAttribute('data-ready')")  # of the last one
        self.send("Page.navigate", url=page.as_uri())
        self.wait("document.documentElement?.dataset.ready === 'yes'")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript, awaited."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + _TIMEOUT_S
        while not self.evaluate(expression):
            assert time.monotonic() < until, f"never true: {expression}"
            time.sleep(0.02)

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key."""
        code = _CODES[key]
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": 8 * shift}
        text = {"text": "\r"} if key == "Enter" else {"text": " "} if key == " " else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **common, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def hover(self, selector: str) -> None:
        """Move the pointer to the middle of the first such element."""
        where = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
            "return [r.left + r.width / 2, r.top + r.height / 2]; })()"
        )
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=where[0], y=where[1])

    def show_as(self, *, scheme: str, width: int = 1200, height: int = 800) -> None:
        """Set the window's size, and "light" or "dark"."""
        self.send("Emulation.setEmulatedMedia", features=[_feature(scheme)])
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        # what happens on a change of size has happened when two frames were drawn
        self.evaluate("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")

    def screenshot(self, path: Path) -> bytes:
        """Write what the window shows as PNG; its bytes."""
        picture = base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"])
        path.write_bytes(picture)
        return picture

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + _TIMEOUT_S
        while b"\0" not in self._waiting:
            ready, _, _ = select.select([self._answers], [], [], until - time.monotonic())
            data = os.read(self._answers, 1 << 20) if ready else b""
            if not data:
                raise RuntimeError("the browser does not answer, or has ended")
            self._waiting += data
        line, _, self._waiting = self._waiting.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, event: str, told: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.console.append(str(told["exceptionDetails"]))
        elif event == "Log.entryAdded":
            self.console.append(str(told["entry"]["text"]))


def _feature(scheme: str) -> dict[str, str]:
    return {"name": "prefers-color-scheme", "value": scheme}


@contextmanager
def browsing(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile in that folder; it ends with the block."""
    program = find_browser()
    assert program is not None
    to_read, to = os.pipe()
    answers, answers_write = os.pipe()
    options = [*_OPTIONS, f"--user-data-dir={profile}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--no-sandbox")  # Chromium refuses to run as root with it
    # by way of 200 and 201, for the pipes may be 3 and 4 themselves
    shell = f'exec "$0" "$@" 200<&{to_read} 201>&{answers_write} 3<&200 4>&201 200<&- 201>&-'
    process = subprocess.Popen(
        ["bash", "-c", shell, program, *options],
        pass_fds=(to_read, answers_write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read)
    os.close(answers_write)
    try:
        yield Browser(to, answers)
    finally:
        os.close(to)  # the browser ends when nobody can speak to it any more
        os.close(answers)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
