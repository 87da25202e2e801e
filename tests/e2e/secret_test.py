"""The run's key while a run trains: it is in its file and nowhere else, and another one lets nobody in."""

import hashlib
import hmac
import pathlib
import stat
import unittest

from harness import EndToEnd, journal, wait_until

STOPPED, USAGE = 5, 2


def derived(secret):
    """The key that TLS is given, as docs/formats.md says."""
    extracted = hmac.new(b"plumbline control plane", secret.encode(), hashlib.sha256).digest()
    return hmac.new(extracted, b"tls 1.3 pre-shared key\x01", hashlib.sha256).digest()


def processes():
    """(pid, command line, environment) of every process that may be looked at."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            yield int(folder.name), (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue  # gone, or another user's


class Secret(EndToEnd):
    def setUp(self):
        super().setUp()
        self.make_dataset()
        self.run_dir = self.dir / "run"

    def train(self, *more):
        child = self.start("train", "tiny.yaml", "--run", "run", "--workers", 2, "--set", "train.steps=100000", *more)
        wait_until(lambda: journal(self.run_dir, "generation_started"), what="a generation")
        return child

    def keys(self):
        secret = (self.run_dir / "secret").read_text().strip()
        key = derived(secret)
        return [secret.encode(), bytes.fromhex(secret), key.hex().encode(), key]

    def test_it_is_in_its_file_alone(self):
        train = self.train()
        self.assertEqual(stat.S_IMODE((self.run_dir / "secret").stat().st_mode), 0o600)
        keys = self.keys()
        looked_at = list(processes())
        self.assertTrue(any(b"plumbline-worker" in command for _, command, _ in looked_at), "the workers are seen")
        for pid, command, environment in looked_at:
            for key in keys:
                self.assertNotIn(key, command, f"command line of {pid}")
                self.assertNotIn(key, environment, f"environment of {pid}")
        said = self.plumbline("status", "run", "--json")
        self.plumbline("stop", "run")
        out, _ = train.communicate(timeout=120)
        self.assertEqual(train.returncode, STOPPED)
        files = [file for file in self.run_dir.rglob("*") if file.is_file() and file != self.run_dir / "secret"]
        self.assertTrue(any(file.name == "coordinator.log" for file in files))
        for key in keys:
            self.assertNotIn(key, out.encode() + "".join(said).encode())
            for file in files:
                self.assertNotIn(key, file.read_bytes(), file)

    def test_a_new_key_is_taken_up_by_resume(self):
        train = self.train()
        old = (self.run_dir / "secret").read_text()
        self.plumbline("stop", "run")
        self.assertEqual(train.wait(120), STOPPED)
        new = hashlib.sha256(b"another").hexdigest()
        (self.run_dir / "secret").write_text(new + "\n")
        resumed = self.start("resume", "run")
        wait_until(lambda: len(journal(self.run_dir, "generation_started")) == 2, what="the second generation")
        (self.run_dir / "secret").write_text(old)
        _, err = self.plumbline("stop", "run", status=USAGE)
        self.assertIn("did not accept this run's secret", err)
        (self.run_dir / "secret").write_text(new + "\n")
        self.plumbline("stop", "run")
        self.assertEqual(resumed.wait(120), STOPPED)

    def test_on_every_address_it_is_asked_like_on_one(self):
        train = self.train("--set", "control.bind='0.0.0.0'")
        self.assertNotIn('"host":"0.0.0.0"', (self.run_dir / "coordinator.json").read_text())
        self.assertEqual(self.status("run")["generation"], 1)
        self.plumbline("stop", "run")
        self.assertEqual(train.wait(120), STOPPED)


if __name__ == "__main__":
    unittest.main()
