"""A side of a comparison: a process that does what it is told by lines of JSON, so that two of them can take turns."""
import ctypes
import json
import os
import pathlib
import shlex
import subprocess
import tempfile
import time


class SideFailed(Exception):
    """A side ended before it answered; the message has the end of what it said."""


def timed(side, command):
    """Seconds by the driver's clock, the same for every side, and the answer."""
    began = time.perf_counter()
    answer = side.ask(command)
    return time.perf_counter() - began, answer


def take_turns(ours, theirs, warm_up, rounds, commands):
    """Yields, round by round, whether it counts, and of ours and of theirs (seconds, answer). `commands(r)`: what the two are told. Who is
    first changes with every round."""
    for r in range(warm_up + rounds):
        told, done = commands(r), [None, None]
        for i in (0, 1) if r % 2 == 0 else (1, 0):
            done[i] = (ours, theirs)[i].timed(told[i])
        yield r >= warm_up, done


class Side:
    """Its standard error stream is kept, and shown when it fails. `greeting` is what it is told first, `ready` what it answered."""

    def __init__(self, name, command, environment=None, greeting=None, waits=True):
        self.name = name
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        bufsize=1, stderr=self.errors, env={**os.environ, **(environment or {})})
        if greeting is not None:
            self.send(greeting)
        self.ready = self.answer() if waits else None

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
        return timed(self, command)

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


class Together:
    """Several processes that are told the same at the same time; the answer is the first one's, once all have answered."""

    def __init__(self, sides):
        self.sides = sides
        self.ready = sides[0].ready

    def ask(self, command):
        for side in self.sides:
            side.send(command)
        return [side.answer() for side in self.sides][0]

    def timed(self, command):
        return timed(self, command)

    def close(self):
        for side in self.sides:
            side.process.stdin.close()
        for side in self.sides:
            side.close()


class MpiSide(Side):
    """An mpirun group, each of whose ranks reads its commands from a pipe of its own: one that waited inside MPI would take processor time
    from the other side of the comparison."""

    def __init__(self, name, ranks, command, folder, environment=None):
        prefix = pathlib.Path(tempfile.mkdtemp(dir=folder)) / "commands"
        paths = [f"{prefix}.{rank}" for rank in range(ranks)]
        for path in paths:
            os.mkfifo(path)
        # For reading too, or opening would wait for a rank that may never come.
        self.pipes = [os.open(path, os.O_RDWR | os.O_CLOEXEC) for path in paths]
        super().__init__(name, [*mpirun(ranks), *command, prefix], environment)

    def send(self, command):
        for pipe in self.pipes:
            os.write(pipe, (json.dumps(command) + "\n").encode())

    def close(self):
        for pipe in self.pipes:
            os.close(pipe)
        super().close()


def mpirun(ranks):
    """As Plumbline's own launcher starts a group on one machine (coordinator/launch/mpirun.cpp)."""
    words = ["mpirun", *(["--allow-run-as-root"] if os.geteuid() == 0 else []), "--oversubscribe", "--bind-to", "none"]
    words += ["--mca", "pml", "ob1", "--mca", "btl", "self,vader", "--mca", "plm", "isolated"]
    if not may_read_processes():
        words += ["--mca", "btl_vader_single_copy_mechanism", "none"]
    return [*words, "-np", str(ranks)]


def may_read_processes():
    class Piece(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
    source, target = ctypes.create_string_buffer(1), ctypes.create_string_buffer(1)
    pieces = [Piece(ctypes.addressof(buffer), 1) for buffer in (target, source)]
    read = ctypes.CDLL(None).process_vm_readv
    return read(os.getpid(), ctypes.byref(pieces[0]), ctypes.c_ulong(1), ctypes.byref(pieces[1]), ctypes.c_ulong(1), ctypes.c_ulong(0)) == 1
