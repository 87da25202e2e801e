"""Partitions between hosts (namespaces of this machine): the coordinator's side goes on from the newest step with what it has, who is
cut off ends by itself and is not let in again with what it held, and the run ends with the weights of one left alone."""

import os
import time
import unittest

from harness import wait_until
from host_runs import HostRuns


class Partitions(HostRuns):
    def pids_lost_on(self, host):
        return {loss["pid"] for loss in self.lost(host)}

    def test_hosts_are_cut_off_and_one_comes_back(self):
        self.begin(3, 300, silence_ms=2000)
        self.wait_for_step(20)
        self.wait_for_hosts(["alpha", "beta", "gamma"])
        at = time.time()
        self.hosts.cut("beta")
        self.hosts.cut("gamma")
        alone = self.wait_for_hosts(["alpha"])
        self.assertGreaterEqual(alone["data"]["start_step"], 20)
        self.assertEqual(alone["data"]["reason"], "regrouped")
        self.wait_for_hosts(["alpha", "alpha", "alpha"])  # Replacements, where there is a host.
        cut_off = self.pids_lost_on("beta") | self.pids_lost_on("gamma")
        self.assertEqual(len(cut_off), 2)
        for pid in cut_off:
            os.kill(pid, 0)  # Nobody could end them.
        self.hosts.mend("beta")
        came_back = self.pids_lost_on("beta")
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in came_back), timeout=90, what="the end of who came back")
        over = self.child.poll() is not None
        self.check_exact(at, "two of three hosts cut off (silence of 2 s)", longest=20)
        refused = f"refused the worker with pid {came_back.pop()}" in self.log()
        self.assertTrue(refused or over, "it was not let in with what it held")
        # Whose host never comes back notices it by itself, and waits for another coordinator as long as it is told to.
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in cut_off), timeout=90, what="the end of who was cut off")


if __name__ == "__main__":
    unittest.main()
