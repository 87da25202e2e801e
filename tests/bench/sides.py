"""A side of a comparison: a process that does what it is told by lines of JSON, so that two of them can take turns."""
import json
import os
import pathlib
import shlex
import subprocess
import tempfile
import time


class SideFailed(Exception):
    """A side ended before it answered; the message has the end of what it said."""


class Side:
    """Its standard error stream is kept, and shown when it fails. `greeting` is what it is told first, `ready` what it answered."""

    def __init__(self, name, command, environment=None, greeting=None):
        self.name = name
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        bufsize=1, stderr=self.errors, env={**os.environ, **(environment or {})})
        if greeting is not None:
            self.send(greeting)
        self.ready = self.answer()

    def send(self, command):
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.fail()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.fail()
        answer = json.loads(line)
        if "error" in answer:
            raise SideFailed(f"{self.name}: {answer['error']}")
        return answer

    def ask(self, command):
        self.send(command)
        return self.answer()

    def timed(self, command):
        """Seconds by the driver's clock, the same for every side, and the answer."""
        began = time.perf_counter()
        answer = self.ask(command)
        return time.perf_counter() - began, answer

    def memory(self):
        """Bytes: the most that was resident so far, and what is now."""
        status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines())
        return {"peak": 1024 * int(status["VmHWM"].split()[0]), "now": 1024 * int(status["VmRSS"].split()[0])}

    def fail(self):
        status = self.process.wait()
        self.errors.seek(0)
        raise SideFailed(f"{self.name} ended with status {status}: {shlex.join(map(str, self.process.args))}\n"
                         f"{self.errors.read()[-3000:].strip()}")

    def close(self):
        """Ends its commands and waits for it."""
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
