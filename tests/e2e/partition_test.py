"""Partitions between hosts (namespaces of this machine): the coordinator's side goes on from the newest step with what it has, who is
cut off ends by itself and is not let in again with what it held, and the run ends with the weights of one left alone."""

import json
import os
import time
import unittest

from elastic_runs import ElasticRuns, seconds_of, train_lines
from harness import PLUMBLINE, journal, wait_until
from hosts import Hosts


class Partitions(ElasticRuns):
    def begin(self, names, workers, steps, *settings):
        hosts = Hosts(self.dir / "slurm", names)
        self.addCleanup(hosts.close)
        self.hosts = hosts
        self.settings = ["--set", f"train.steps={steps}", "--set", "checkpoint.every=100", "--set", "evaluate.every=1000", *settings]
        self.environment = hosts.environment()
        self.child = self.start(*hosts.on(names[0], PLUMBLINE, "train", "tiny.yaml", "--run", self.run_dir, "--workers", workers,
                                          "--launcher", "srun", "--set", f"control.bind={hosts.address(names[0])}",
                                          "--set", "control.worker_timeout_ms=2000", "--set", "control.orphan_ms=2000",
                                          *self.settings)[1:],
                                program="nsenter", env=self.environment, output=self.output)

    def generations(self):
        return journal(self.run_dir, "generation_started")

    def wait_for_hosts(self, hosts, timeout=60):
        """Until the newest generation has exactly these workers; its entry."""
        return wait_until(lambda: next((e for e in self.generations()[-1:] if sorted(e["data"]["hosts"]) == sorted(hosts)), None), timeout,
                          f"a generation on {hosts}: {[e['data']['hosts'] for e in self.generations()]}")

    def lost_pids(self, host):
        return {e["data"]["pid"] for e in journal(self.run_dir, "worker_lost") if e["data"]["host"] == host}

    def check_generations(self):
        """One after the other, each ended before the next began."""
        events = [(e["event"], e["data"]["generation"]) for e in journal(self.run_dir) if e["event"] in ("generation_started", "generation_ended")]
        expected = [(event, number) for number in range(1, len(self.generations()) + 1) for event in ("generation_started", "generation_ended")]
        self.assertEqual(events, expected)

    def check_exact(self, fault_at, what, longest):
        output, _ = self.child.communicate(timeout=240)
        self.assertEqual(self.child.returncode, 0, output[-4000:])
        lines = train_lines(self.run_dir)
        self.assertEqual([line["step"] for line in lines], list(range(1, len(lines) + 1)), "no step is taken twice")
        after = next(seconds_of(line) - fault_at for line in lines if seconds_of(line) > fault_at + 0.3)
        print(f"{what}: {after:.2f} s from the fault to the next step", flush=True)
        self.assertLess(after, longest)
        self.assertEqual(json.loads((self.run_dir / "evaluation" / "summary.json").read_text())["weights_sha256"], self.alone())
        self.check_generations()

    def test_hosts_are_cut_off_and_one_comes_back(self):
        self.begin(["alpha", "beta", "gamma"], 3, 300)
        self.wait_for_step(20)
        self.wait_for_hosts(["alpha", "beta", "gamma"])
        at = time.time()
        self.hosts.cut("beta")
        self.hosts.cut("gamma")
        alone = self.wait_for_hosts(["alpha"])
        self.assertGreaterEqual(alone["data"]["start_step"], 20)
        self.assertEqual(alone["data"]["reason"], "regrouped")
        self.wait_for_hosts(["alpha", "alpha", "alpha"])  # Replacements, where there is a host.
        cut_off = self.lost_pids("beta") | self.lost_pids("gamma")
        self.assertEqual(len(cut_off), 2)
        for pid in cut_off:
            os.kill(pid, 0)  # Nobody could end them.
        self.hosts.mend("beta")
        came_back = self.lost_pids("beta")
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in came_back), timeout=90, what="the end of who came back")
        over = self.child.poll() is not None
        self.check_exact(at, "two of three hosts cut off (silence of 2 s)", longest=20)
        refused = f"refused the worker with pid {came_back.pop()}" in (self.run_dir / "logs" / "coordinator.log").read_text()
        self.assertTrue(refused or over, "it was not let in with what it held")
        # Whose host never comes back notices it by itself, and waits for another coordinator as long as it is told to.
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in cut_off), timeout=90, what="the end of who was cut off")


if __name__ == "__main__":
    unittest.main()
