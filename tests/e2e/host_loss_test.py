"""The coordinator's host is lost, cut off, or stands still, and another host's coordinator takes the run over: the workers find it, no
step is lost, and the first one does no harm when it comes back."""

import json
import os
import signal
import time
import unittest

from elastic_runs import newest_step
from harness import journal, wait_until
from host_runs import HostRuns

STEPS = 250
HOSTS = ["alpha", "beta", "gamma"]
# Workers that do not come are waited for twelve seconds.
LONGEST = 25


class HostLoss(HostRuns):
    def begin_on_all_hosts(self):
        self.begin(3, STEPS, orphan_ms=5000)
        self.wait_for_hosts(HOSTS)
        self.wait_for_step(20)
        self.first = self.child

    def take_over(self, *words):
        self.child = self.on_host("beta", "resume", self.run_dir, "--launcher", "srun", *words)
        return self.child

    def refusal(self, *words):
        refused = self.take_over(*words)
        output, _ = refused.communicate(timeout=30)
        self.assertEqual(refused.returncode, 2, output)
        return output

    def address(self):
        return json.loads((self.run_dir / "coordinator.json").read_text())

    def wait_for_regrouping(self, hosts):
        """A generation that somebody's state begins, after the one on all hosts; its entry."""
        entry = self.wait_for_generation(lambda now: len(self.generations()) > 1 and sorted(now) == sorted(hosts))
        self.assertEqual(entry["data"]["reason"], "regrouped", "no step is lost")
        self.assertEqual(self.address()["hostname"], "beta")

    def check_first_has_ended(self):
        """It says why, and ends with the status of a run that can be gone on with."""
        output, _ = self.first.communicate(timeout=30)
        self.assertEqual(self.first.returncode, 4, output[-4000:])
        self.assertIn("another coordinator has taken the run over: process", output)
        self.assertIn("leaves the workers alone", self.log())

    def test_a_lost_host_costs_no_step(self):
        self.begin_on_all_hosts()
        at = time.time()
        self.hosts.cut("alpha")  # Nobody hears of its end.
        for pid in (self.first.pid, self.pid_on("alpha")):
            os.kill(pid, signal.SIGKILL)
        self.first.communicate()
        self.take_over("--set", f"control.bind={self.hosts.address('beta')}")
        self.wait_for_regrouping(["beta", "gamma"])
        self.wait_for_generation(lambda hosts: len(hosts) == 3 and "alpha" not in hosts)
        self.check_exact(at, "the coordinator's host is lost", LONGEST)

    def check_exact(self, *args):
        super().check_exact(*args)
        self.assertNotIn("do not leave", self.log(), "workers of other hosts are seen to leave")

    def pid_on(self, host):
        return next(job["pid"] for job in self.hosts.steps().values() if job["host"] == host)

    def test_a_coordinator_that_stood_still_does_no_harm(self):
        self.begin_on_all_hosts()
        self.assertIn("serves this run already", self.refusal("--take-over"), "it answers")
        at = time.time()
        self.first.send_signal(signal.SIGSTOP)
        refusal = self.refusal()
        self.assertIn(f"process {self.first.pid} on alpha", refusal)
        self.assertIn("--take-over", refusal)
        self.take_over("--take-over")
        self.wait_for_regrouping(HOSTS)
        taken_over = journal(self.run_dir, "run_taken_over")
        self.assertEqual([entry["data"] for entry in taken_over], [{"pid": self.first.pid, "hostname": "alpha"}])
        self.first.send_signal(signal.SIGCONT)
        self.check_first_has_ended()
        self.assertEqual(self.address()["hostname"], "beta", "what the other has written stands")
        self.assertIsNone(self.child.poll(), "training is over before the first coordinator came back")
        self.check_exact(at, "the coordinator stands still", LONGEST)
        self.assertEqual(self.lost(), [], "nobody ended a worker")
        self.assertEqual(len(self.generations()), 2)

    def test_a_coordinator_that_is_cut_off_ends(self):
        self.begin_on_all_hosts()
        at = time.time()
        self.hosts.cut("alpha")
        cut_off = self.pid_on("alpha")
        self.wait_for_hosts(["alpha"])  # It goes on alone, as long as nobody else has the run,
        alone_at = newest_step(self.run_dir)
        wait_until(lambda: newest_step(self.run_dir) > alone_at, what="a step of the one that is cut off")
        self.take_over("--take-over")
        self.check_first_has_ended()  # and no longer.
        self.wait_for_regrouping(["beta", "gamma"])
        self.check_exact(at, "the coordinator's host is cut off", LONGEST)
        wait_until(lambda: not os.path.exists(f"/proc/{cut_off}"), timeout=90, what="the end of who was cut off with it")


if __name__ == "__main__":
    unittest.main()
