"""Several hosts on one machine: a network namespace and a host name each, on one bridge, and a Slurm of a few lines that starts a
step on the host that is asked for. For tests of what a network does to a run; a real Slurm is in tests/slurm.

Only who may make namespaces (root) can use it, so `Hosts()` skips the test where that fails. The links and everything that was
started there end with the test.
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import unittest

PREFIX = "10.77.0."


class Hosts:
    """`names` on one network; the first has the address 10.77.0.1, the next 10.77.0.2, … Those `without_workers` come behind, and
    Slurm does not know them."""

    def __init__(self, folder, names, without_workers=()):
        self.folder = pathlib.Path(folder)
        self.workers = list(names)
        self.names = names = [*names, *without_workers]
        self.anchors = {}
        try:
            for name in ["switch", *names]:
                self.anchors[name] = self._anchor(name)
            self.call("switch", "ip", "link", "add", "bridge0", "type", "bridge")
            self.call("switch", "ip", "link", "set", "bridge0", "up")
            for name in names:
                self._join(name)
            self._make_slurm()
        except (OSError, subprocess.CalledProcessError) as error:
            self.close()
            said = getattr(error, "stderr", "") or ""
            raise unittest.SkipTest(f"no hosts can be made here (root can, with iproute2 and util-linux): {error} {said}") from error

    def _anchor(self, name):
        """A process that holds the host's namespaces; it has entered them once it says so."""
        held = subprocess.Popen(["unshare", "--net", "--uts", "sh", "-c", f"hostname {name} && echo there && exec sleep 100000"],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if held.stdout.readline() != "there\n":
            raise subprocess.CalledProcessError(1, "unshare", stderr=held.communicate()[1])
        return held

    def _join(self, name):
        self.call("switch", "ip", "link", "add", self.link(name), "type", "veth", "peer", "name", "eth0", "netns", str(self.anchors[name].pid))
        self.call("switch", "ip", "link", "set", self.link(name), "master", "bridge0", "up")
        self.call(name, "ip", "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            self.call(name, "ip", "link", "set", device, "up")

    def close(self):
        for job in self.steps().values():
            try:
                os.kill(job["pid"], signal.SIGKILL)
            except ProcessLookupError:
                pass
        for held in self.anchors.values():  # The links go with their namespaces.
            held.kill()
            held.communicate()

    def address(self, name):
        return f"{PREFIX}{self.names.index(name) + 1}"

    @staticmethod
    def link(name):
        return f"to-{name}"

    def on(self, name, *words):
        """The words of a command that runs `words` on a host."""
        return ["nsenter", "--target", str(self.anchors[name].pid), "--net", "--uts", "--", *map(str, words)]

    def call(self, name, *words):
        subprocess.run(self.on(name, *words), check=True, capture_output=True, text=True)

    # --- the network

    def cut(self, name):
        """Nothing comes from or to the host any more, and nobody is told. Slurm finds it down."""
        self.call("switch", "ip", "link", "set", self.link(name), "down")
        (self.folder / "down" / name).touch()

    def mend(self, name):
        self.call("switch", "ip", "link", "set", self.link(name), "up")
        (self.folder / "down" / name).unlink()

    def interrupt(self, name, seconds):
        """The switch passes nothing on for a while. The link itself stays up: a host may take a second to notice that it is up again."""
        self.call("switch", "bridge", "link", "set", "dev", self.link(name), "state", "0")
        time.sleep(seconds)
        self.call("switch", "bridge", "link", "set", "dev", self.link(name), "state", "3")

    def block(self, sender, receiver):
        """What one host sends to another is lost; Slurm and all others see nothing of it."""
        self.call(sender, "ip", "route", "add", "blackhole", f"{self.address(receiver)}/32")

    def unblock(self, sender, receiver):
        self.call(sender, "ip", "route", "del", "blackhole", f"{self.address(receiver)}/32")

    # --- Slurm

    def _make_slurm(self):
        for sub in ("bin", "down", "steps"):
            (self.folder / sub).mkdir(parents=True)
        (self.folder / "hosts.json").write_text(json.dumps({name: self.anchors[name].pid for name in self.names}))
        for program in ("srun", "scontrol", "squeue", "scancel", "sinfo"):
            path = self.folder / "bin" / program
            path.write_text(f"#!/bin/sh\nexec {sys.executable} {__file__} {self.folder} {program} \"$@\"\n")
            path.chmod(0o755)

    def environment(self):
        return {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": ",".join(self.workers)}

    def steps(self):
        return read_steps(self.folder)


def read_steps(folder):
    """Every step that has not ended: its id, and its name, host and process."""
    steps = {}
    for path in pathlib.Path(folder).glob("steps/7.*"):
        try:
            steps[path.name] = json.loads(path.read_text())
        except (OSError, ValueError):  # It is being written, or has ended.
            continue
    return steps


def srun(folder, words):
    """Starts a step on its host and waits for it. Whoever kills this process does not reach the step."""
    count = next(index for index, word in enumerate(words) if not word.startswith("--"))
    options = dict(word.removeprefix("--").partition("=")[::2] for word in words[:count])
    command = words[count:]
    host = options["nodelist"]
    if (folder / "down" / host).exists():
        sys.exit(f"srun: error: node {host} does not respond")
    anchor = json.loads((folder / "hosts.json").read_text())[host]
    step = subprocess.Popen(["nsenter", "--target", str(anchor), "--net", "--uts", "--", *command], start_new_session=True)
    (folder / "steps" / f"7.{step.pid}").write_text(json.dumps({"name": options["job-name"], "host": host, "pid": step.pid}))
    signal.signal(signal.SIGTERM, lambda *_: None if (folder / "down" / host).exists() else step.terminate())
    status = step.wait()
    (folder / "steps" / f"7.{step.pid}").unlink()
    sys.exit(status if status >= 0 else 128 - status)


def scancel(folder, step):
    job = read_steps(folder).get(step)
    if job is not None and not (folder / "down" / job["host"]).exists():
        os.kill(job["pid"], signal.SIGKILL)


def main(folder, program, words):
    """What the launcher asks of Slurm's programs. Where the network is down there is no Slurm."""
    if (folder / "down" / socket.gethostname()).exists():
        sys.exit(f"{program}: error: Unable to contact slurm controller")
    if program == "srun":
        srun(folder, words)
    elif program == "scontrol":
        print("\n".join(words[-1].split(",")))
    elif program == "sinfo":
        for host in next(word for word in words if word.startswith("--nodes=")).removeprefix("--nodes=").split(","):
            print(host, "down*" if (folder / "down" / host).exists() else "allocated")
    elif program == "squeue":
        for step, job in read_steps(folder).items():
            print(step, job["name"])
    elif program == "scancel":
        scancel(folder, words[-1])


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
