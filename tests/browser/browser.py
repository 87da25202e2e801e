"""A headless Chromium spoken to over its debugging pipe: no driver, no port, no package.

    with Browser() as browser:
        page = browser.open(path, width=1280)
        page.errors            console errors and uncaught exceptions
        page.evaluate("1 + 1")
        page.screenshot("page.png")
"""

import base64
import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time


def find_chromium():
    """The browser's path, or None. $CHROMIUM names another one."""
    for name in (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name) if name else None
        if found:
            return found
    return None


class Browser:
    def __init__(self, deadline_seconds=60):
        self._deadline = deadline_seconds
        self._profile = tempfile.TemporaryDirectory(prefix="plumbline-browser-", ignore_cleanup_errors=True)
        to_read, self._to = os.pipe()
        self._from, from_write = os.pipe()

        def pipes():  # Chromium reads commands on 3 and writes answers on 4
            a, b = os.dup(to_read), os.dup(from_write)
            os.dup2(a, 3)
            os.dup2(b, 4)
            os.set_inheritable(3, True)
            os.set_inheritable(4, True)

        command = [find_chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                   "--hide-scrollbars", "--remote-debugging-pipe", "--user-data-dir=" + self._profile.name, "about:blank"]
        self._process = subprocess.Popen(command, preexec_fn=pipes, close_fds=False, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(from_write)
        self._next = 0
        self._buffer = b""
        self.events = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close")
        except (OSError, RuntimeError):
            self._process.kill()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._to)
        os.close(self._from)
        self._profile.cleanup()

    def call(self, method, session=None, **parameters):
        self._next += 1
        message = {"id": self._next, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._next:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def _read(self):
        end = time.monotonic() + self._deadline
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise RuntimeError(f"the browser did not answer within {self._deadline} s")
            part = os.read(self._from, 1 << 20)
            if not part:
                raise RuntimeError("the browser ended")
            self._buffer += part
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def wait(self, method, session):
        """The next event of this name, also one that came already."""
        while True:
            for i, event in enumerate(self.events):
                if event.get("method") == method and event.get("sessionId") == session:
                    return self.events.pop(i)
            self.events.append(self._read())

    def open(self, path, width=1280, height=900, dark=False, phone=False):
        return Page(self, pathlib.Path(path).resolve().as_uri(), width, height, dark, phone)


class Page:
    def __init__(self, browser, url, width, height, dark, phone):
        self._browser, self._width = browser, width
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.call("Page.navigate", url=url)
        browser.wait("Page.loadEventFired", self._session)
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")

    def call(self, method, **parameters):
        return self._browser.call(method, self._session, **parameters)

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"].get("exception", {}).get("description", "a script failed"))
        return result["result"].get("value")

    def _mine(self, method):
        return [e["params"] for e in self._browser.events if e.get("method") == method and e.get("sessionId") == self._session]

    @property
    def errors(self):
        self.evaluate("0")  # whatever the page has sent by now is read
        found = [str(e["exceptionDetails"].get("exception", {}).get("description", e["exceptionDetails"]["text"]))
                 for e in self._mine("Runtime.exceptionThrown")]
        found += [e["entry"]["text"] for e in self._mine("Log.entryAdded") if e["entry"]["level"] == "error"]
        found += [" ".join(str(a.get("value", a.get("description"))) for a in e["args"])
                  for e in self._mine("Runtime.consoleAPICalled") if e["type"] in ("error", "warning", "assert")]
        return found

    @property
    def requests(self):
        return [e["request"]["url"] for e in self._mine("Network.requestWillBeSent")]

    def screenshot(self, file, clip=None):
        height = self.evaluate("document.documentElement.scrollHeight")
        clip = clip or {"x": 0, "y": 0, "width": self._width, "height": min(height, 16000)}
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip={**clip, "scale": 1})["data"]
        pathlib.Path(file).write_bytes(base64.b64decode(data))
