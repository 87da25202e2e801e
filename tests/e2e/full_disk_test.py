"""A disk that is full, read-only or broken: the run ends with an error that names the file and says what to do, nothing that was
committed is lost, and `plumbline resume` goes on to the same weights once there is room.

First at every call that changes a file, by the fault library (a sample of them: PLUMBLINE_FAULT_POINTS); then with real file systems,
in a mount namespace of this process's own, where it may make one (root).
"""

import ctypes
import errno
import os
import subprocess
import unittest

from fault_library import DisturbedRuns, faults, record
from harness import EndToEnd, journal, wait_until, weights_sha256

DEEDS = [(errno.ENOSPC, "once"), (errno.ENOSPC, "lasts"), (errno.EROFS, "lasts"), (errno.EIO, "once")]


class FailingCalls(DisturbedRuns):
    def check_program(self, program, arguments=None):
        # Removing what is not needed any more never needs room, and its failure is nobody's concern.
        calls = [call for call in self.count(program, arguments) if call.name not in ("unlink", "rmdir")]
        points = [(call, f"{number}-{lasts}") for call in calls for number, lasts in DEEDS]

        def check(folder, call, deed):
            run = folder / "run"
            number, lasts = deed.split("-")
            env = faults(program, folder, call.number, number, arguments=arguments, token=self.dir / f"{folder.name}.token",
                         lasts="1" if lasts == "lasts" else None)
            done = self.run_program("train", "tiny.yaml", "--run", run, *self.SETTINGS, env=env)
            if done.returncode == 0:  # What failed was not needed: TensorBoard's events, a folder that was there.
                return self.check_same(run, "with a failed call")
            if done.returncode not in (4, 6):
                raise AssertionError(f"status {done.returncode}: {done.stderr[-3000:]}")
            error = done.stderr[done.stderr.rindex("plumbline: "):]
            reason = os.strerror(int(number))
            if reason not in error and not (int(number) == errno.ENOSPC and "the disk is full" in error):
                raise AssertionError(f"the error does not say {reason!r}: {error}")
            if str(folder) not in error:
                raise AssertionError(f"the error names no file: {error}")
            if (run / "journal.jsonl").exists() and f"plumbline resume {run}" not in error:
                raise AssertionError(f"the error does not say how to go on: {error}")
            self.go_on(run)
            return self.check_same(run, "after resume")

        self.check_all(self.sample(points), check)

    def test_the_coordinator_cannot_write(self):
        self.check_program("plumbline")

    def test_the_first_worker_cannot_write(self):
        self.check_program("plumbline-worker", "--worker 0")

    def test_another_worker_cannot_write(self):
        self.check_program("plumbline-worker", "--worker 1")


def enter_mount_namespace():
    """From now on this process's mounts are seen by its children alone. Skips where that is not allowed."""
    CLONE_NEWNS = 0x00020000
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        raise unittest.SkipTest(f"no mount namespace: {os.strerror(ctypes.get_errno())} (root may make one)")
    if subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True).returncode != 0:
        raise unittest.SkipTest("this machine lets nobody mount")


class RealDisks(EndToEnd):
    STEPS = ["--set", "train.steps=64", "--set", "checkpoint.every=8", "--workers", "2"]

    @classmethod
    def setUpClass(cls):
        enter_mount_namespace()

    def setUp(self):
        super().setUp()
        self.make_dataset()
        self.disk = self.dir / "disk"
        self.disk.mkdir()
        self.mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", self.disk)
        self.run_dir = self.disk / "run"
        self.filler = self.disk / "filler"

    def mount(self, *args):
        done = subprocess.run(["mount", *map(str, args)], capture_output=True, text=True)
        if done.returncode != 0:
            self.skipTest(f"mount {' '.join(map(str, args))}: {done.stderr}")
        self.addCleanup(subprocess.run, ["umount", "--lazy", str(args[-1])], capture_output=True)

    def remount(self, *args):
        """The kernel refuses while something is being written, by a process that is about to end too."""
        wait_until(lambda: subprocess.run(["mount", "-o", *map(str, args)], capture_output=True).returncode == 0, what=f"a mount: {args}")

    def fill(self):
        with self.filler.open("wb", buffering=0) as file, self.assertRaises(OSError) as full:
            while True:
                file.write(bytes(1 << 16))
        self.assertEqual(full.exception.errno, errno.ENOSPC)

    def train_behind_two_checkpoints(self):
        train = self.start("train", "tiny.yaml", "--run", self.run_dir, *self.STEPS)
        wait_until(lambda: len(journal(self.run_dir, "checkpoint_committed")) >= 2, what="two checkpoints")
        return train

    def check_failed(self, train, *words):
        output, _ = train.communicate(timeout=60)
        self.assertIn(train.returncode, (4, 6), output[-3000:])
        error = output[output.rindex("plumbline: "):]
        for word in [*words, f"plumbline resume {self.run_dir}"]:
            self.assertIn(word, error)
        return [entry["data"]["step"] for entry in journal(self.run_dir, "checkpoint_committed")]

    def check_goes_on(self, committed):
        self.plumbline("resume", self.run_dir)
        self.assertGreaterEqual(journal(self.run_dir, "generation_started")[-1]["data"]["start_step"], committed[-1], "nothing is lost")
        self.assertEqual([], journal(self.run_dir, "checkpoint_set_aside"))
        self.plumbline("train", "tiny.yaml", "--run", "alone", *self.STEPS)
        self.assertEqual(weights_sha256(self.run_dir), weights_sha256(self.dir / "alone"))
        self.assertEqual(record(self.run_dir), record(self.dir / "alone"))

    def test_a_disk_fills_up_while_a_run_trains(self):
        train = self.train_behind_two_checkpoints()
        self.fill()
        committed = self.check_failed(train, "the disk is full", str(self.run_dir))
        _, err = self.plumbline("resume", self.run_dir, status=4)
        self.assertIn("the disk is full", err)
        self.filler.unlink()
        self.check_goes_on(committed)

    def test_checkpoints_become_read_only_while_a_run_trains(self):
        train = self.train_behind_two_checkpoints()
        checkpoints = self.run_dir / "checkpoints"
        self.mount("--bind", checkpoints, checkpoints)
        self.remount("remount,bind,ro", checkpoints)
        committed = self.check_failed(train, os.strerror(errno.EROFS), str(checkpoints))
        self.remount("remount,bind,rw", checkpoints)
        self.check_goes_on(committed)

    def test_a_read_only_disk_is_said_at_once(self):
        train = self.train_behind_two_checkpoints()
        train.kill()
        train.wait()
        committed = [entry["data"]["step"] for entry in journal(self.run_dir, "checkpoint_committed")]
        self.end_workers()  # They would go on writing there.
        self.remount("remount,ro", self.disk)
        _, err = self.plumbline("resume", self.run_dir, status=6)
        self.assertIn(os.strerror(errno.EROFS), err)
        self.assertIn(str(self.run_dir), err)
        self.plumbline("status", self.run_dir)
        _, err = self.plumbline("train", "tiny.yaml", "--run", self.disk / "new", status=6)
        self.assertIn(os.strerror(errno.EROFS), err)
        self.remount("remount,rw", self.disk)
        self.check_goes_on(committed)

    def test_a_full_disk_begins_no_run(self):
        self.fill()
        _, err = self.plumbline("train", "tiny.yaml", "--run", self.run_dir, *self.STEPS, status=4)
        self.assertIn("the disk is full", err)
        self.assertEqual([self.filler], list(self.disk.iterdir()), "no half of a run directory")


if __name__ == "__main__":
    unittest.main()
