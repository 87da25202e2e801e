"""Faults between workers: one dies in the middle of a collective, a newcomer or its source dies while the state is copied, a
connection breaks, and a worker hangs inside a collective while its heartbeats go on. Each run ends by itself with the weights of
one that was left alone.

Which call of a worker the fault is at, the fault library counts; the workers are real processes.
"""

import errno
import signal
import time
import unittest

from elastic_runs import STEPS, ElasticRuns, train_lines
from fault_library import DisturbedRuns, faults
from harness import journal, wait_until, weights_sha256

# The weights travel as one tensor of 297,472 bytes, before the optimizer's; what workers exchange while they train has at most half of
# it. So the first call for so many bytes is the copy's.
COPY = 200_000


class DyingInCollectives(DisturbedRuns):
    """At every call of a short run that moves bytes between its two workers: a sample of them, or all."""

    def check_worker(self, number):
        calls = self.count("plumbline-worker", f"--worker {number}", kind="mesh")
        self.assertTrue({"send", "recv"} <= {call.name for call in calls}, calls)
        points = [(call, deed) for call in calls for deed in (("before", "half", "after") if call.name == "send" else ("before", "after"))]

        def check(folder, call, deed):
            run = folder / "run"
            done = self.run_program("train", "tiny.yaml", "--run", run, *self.SETTINGS,
                                    env=faults("plumbline-worker", at=call.number, do=deed, kind="mesh", arguments=f"--worker {number}",
                                               token=self.dir / f"{folder.name}.token"))
            if done.returncode != 0:
                raise AssertionError(f"the run did not go on by itself: status {done.returncode}, {done.stderr[-3000:]}")
            self.check_same(run, "after a worker's end")

        self.check_all(self.sample(points), check)

    def test_the_first_worker_dies_in_a_collective(self):
        self.check_worker(0)

    def test_another_worker_dies_in_a_collective(self):
        self.check_worker(1)


class Hanging(ElasticRuns):
    def test_a_worker_hangs_inside_a_collective(self):
        """Its heartbeats go on. Which of both directions it hangs in makes no difference to the others: they wait for it."""
        for number, call in [(1, "send"), (0, "recv")]:
            with self.subTest(number=number, call=call):
                self.run_dir = self.dir / f"run-{number}-{call}"
                token = self.dir / f"{self.run_dir.name}.token"
                self.environment = faults("plumbline-worker", at=300, do="hang", kind="mesh", call=call, arguments=f"--worker {number}", token=token)
                self.train(3, "--set", "control.worker_timeout_ms=1000")
                wait_until(token.exists, timeout=120, what="the fault")
                at = time.time()
                lost = wait_until(lambda: journal(self.run_dir, "worker_lost"), what="the loss of the hung worker")[0]["data"]
                self.assertEqual(lost["worker"], number)
                self.assertIn("it hangs", lost["reason"])
                self.check_end(at, f"worker {number} of 3 hangs in {call} (silence limit 1 s)", longest=60)
                self.check_one_line_a_step()


class Copying(ElasticRuns):
    """Worker 1 or 2 is killed, and the one that takes its place copies the state of worker 0: there the fault is."""

    def copy_with_fault(self, workers, number, call, do):
        """The run, which one worker left, to its end; the generations that there were."""
        token = self.dir / "token"
        token.unlink(missing_ok=True)
        self.run_dir = self.dir / f"run-{number}-{call}-{do}"
        self.environment = faults("plumbline-worker", at=1, do=do, kind="mesh", call=call, least=COPY, arguments=f"--worker {number}",
                                  token=token, list=self.dir / f"{self.run_dir.name}.calls")
        self.train(workers)
        self.wait_for_step(20)
        self.assertFalse(token.exists(), "a copy before anybody was lost")
        self.fault([self.pids(workers)[workers - 1]], signal.SIGKILL)
        wait_until(lambda: token.exists() or self.child.poll() is not None, what="the fault")
        self.assertTrue(token.exists(), "the run was over before the copy")
        output, _ = self.child.communicate(timeout=120)
        self.assertEqual(self.child.returncode, 0, output[-4000:])
        self.assertEqual(weights_sha256(self.run_dir), self.alone())
        return journal(self.run_dir, "generation_started")

    def lost(self):
        return [entry["data"]["worker"] for entry in journal(self.run_dir, "worker_lost")]

    def test_the_newcomer_dies_while_it_copies(self):
        for do in ("before", "after"):
            with self.subTest(do=do):
                self.copy_with_fault(2, 1, "recv", do)
                self.check_one_line_a_step()
                self.assertEqual(self.lost()[:2], [1, 1], "the newcomer, after the one whose place it took")

    def test_the_source_dies_and_another_holds_the_state(self):
        for do in ("half", "after"):  # of the weights; the optimizer's state is still to come
            with self.subTest(do=do):
                generations = self.copy_with_fault(3, 0, "send", do)
                self.check_one_line_a_step()
                self.assertEqual(self.lost()[:2], [2, 0])
                self.assertEqual({entry["data"]["reason"] for entry in generations[1:]}, {"regrouped"}, "no step is undone")

    def test_the_source_dies_and_nobody_else_holds_the_state(self):
        generations = self.copy_with_fault(2, 0, "send", "half")
        self.assertEqual(self.lost()[:2], [1, 0])
        self.assertIn("restarted after a loss", [entry["data"]["reason"] for entry in generations])
        self.assertEqual([line["step"] for line in train_lines(self.run_dir)][-1], STEPS)

    def test_a_connection_breaks_while_a_state_is_copied(self):
        self.copy_with_fault(3, 2, "recv", errno.ECONNRESET)
        self.check_one_line_a_step()
        self.assertEqual(self.lost(), [2], "nobody but the one that was killed")


if __name__ == "__main__":
    unittest.main()
