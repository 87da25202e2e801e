"""Kill during commit at every write: the coordinator, or a worker, dies by SIGKILL at the Nth of its calls that change a file of the
run directory, before it, in the middle of a write, or right after it. Whatever N is, the run ends with the same weights, metrics
and evaluation: a killed worker is replaced by itself, a killed coordinator's run is resumed.

All points take minutes, so a test takes a sample of them, another each time; PLUMBLINE_FAULT_POINTS=all takes all.
"""

import signal
import unittest

from fault_library import DisturbedRuns, faults, listed


def points_of(calls):
    """Each call with each way to die there."""
    return [(call, deed) for call in calls for deed in (("before", "half", "after") if "write" in call.name else ("before", "after"))]


class FaultPoints(DisturbedRuns):
    def test_the_coordinator_is_killed_at_every_write(self):
        calls = self.count("plumbline")
        # What a run writes: its journal, its metrics, a checkpoint's manifest, its place and the removal of an older one, …
        for name, what in [("write", "/run/journal.jsonl"), ("fsync", "/run/journal.jsonl"), ("write", "/run/metrics.jsonl"),
                           ("rename", "/run/checkpoints/.step-00000002.generation-1.partial/MANIFEST.json"), ("rename", "/run/checkpoints/step-00000002"),
                           ("unlink", "/run/checkpoints/step-00000002/MANIFEST.json"), ("rename", "/run/coordinator.json"), ("rename", "/run")]:
            self.assertTrue(any(call.name == name and call.what == what for call in calls), f"{name} {what} was not counted")

        def check(folder, call, deed):
            run = folder / "run"
            died = self.run_program("train", "tiny.yaml", "--run", run, *self.SETTINGS,
                                    env=faults("plumbline", folder, call.number, deed, list=folder / "calls"))
            if died.returncode != -signal.SIGKILL and any(c.is_fault for c in listed(folder / "calls")):
                raise AssertionError(f"not killed: status {died.returncode}")
            self.go_on(run)
            self.check_same(run, "after resume")

        # A snapshot that was being merged was never merged, and a checkpoint that was being removed stayed.
        def always(call, deed):
            merges = deed == "half" and "snapshots/..step-00000002" in call.what
            prunes = deed == "after" and call.name == "unlink" and call.what.endswith("MANIFEST.json")
            return merges or prunes

        self.check_all(self.sample(points_of(calls), always), check)

    def check_worker(self, number, checkpoint_file):
        calls = self.count("plumbline-worker", f"--worker {number}")
        self.assertTrue(any(call.name == "rename" and call.what.endswith(f"step-00000002.generation-1.partial/{checkpoint_file}") for call in calls), calls)

        def check(folder, call, deed):
            run = folder / "run"
            done = self.run_program("train", "tiny.yaml", "--run", run, *self.SETTINGS,
                                    env=faults("plumbline-worker", folder, call.number, deed, arguments=f"--worker {number}",
                                               token=self.dir / f"{folder.name}.token"))
            if done.returncode != 0:
                raise AssertionError(f"the run did not go on by itself: status {done.returncode}, {done.stderr[-3000:]}")
            self.check_same(run, "after a worker's end")

        # Another worker that held the model already went on without it, and the start model was never evaluated.
        self.check_all(self.sample(points_of(calls), lambda call, deed: "step-00000000.jsonl" in call.what and call.name == "open"), check)

    def test_the_first_worker_is_killed_at_every_write(self):
        self.check_worker(0, "model.safetensors")

    def test_another_worker_is_killed_at_every_write(self):
        self.check_worker(1, "optimizer-exp_avg.safetensors")


if __name__ == "__main__":
    unittest.main()
