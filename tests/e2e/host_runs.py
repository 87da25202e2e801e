"""Runs over several hosts (hosts.py) that something happens to: what the tests of networks and of lost hosts share."""

import json

from elastic_runs import ElasticRuns, seconds_of, train_lines
from harness import PLUMBLINE, journal, wait_until
from hosts import Hosts

SILENCE_MS = 1500


class HostRuns(ElasticRuns):
    def begin(self, workers, steps, *settings, hosts=("alpha", "beta", "gamma"), coordinator=None, silence_ms=SILENCE_MS, orphan_ms=2000):
        """Starts a run on `hosts`, its coordinator on the first of them, or on another that has no workers."""
        self.hosts = Hosts(self.dir / "slurm", hosts, without_workers=[coordinator] if coordinator else [])
        self.addCleanup(self.hosts.close)
        self.settings = ["--set", f"train.steps={steps}", "--set", "checkpoint.every=100", "--set", "evaluate.every=1000", *settings]
        self.environment = self.hosts.environment()
        self.child = self.on_host(coordinator or hosts[0], "train", "tiny.yaml", "--run", self.run_dir, "--workers", workers,
                                  "--launcher", "srun", "--set", "control.bind=0.0.0.0", "--set", f"control.worker_timeout_ms={silence_ms}",
                                  "--set", f"control.orphan_ms={orphan_ms}", *self.settings)

    def on_host(self, name, *words):
        """Starts `plumbline` there."""
        return self.start(*self.hosts.on(name, PLUMBLINE, *words)[1:], program="nsenter", env=self.environment, output=self.output)

    def generations(self):
        return journal(self.run_dir, "generation_started")

    def wait_for_hosts(self, hosts, timeout=60):
        """Until the newest generation has exactly these workers; its entry."""
        return wait_until(lambda: next((e for e in self.generations()[-1:] if sorted(e["data"]["hosts"]) == sorted(hosts)), None), timeout,
                          f"a generation on {hosts}: {[e['data']['hosts'] for e in self.generations()]}")

    def wait_for_generation(self, condition, timeout=60):
        """Until the newest generation's hosts are as they should be; its entry."""
        return wait_until(lambda: next((e for e in self.generations()[-1:] if condition(e["data"]["hosts"])), None), timeout, "the generation")

    def lost(self, host=None):
        """The journal's words on workers that took part and were lost."""
        return [e["data"] for e in journal(self.run_dir, "worker_lost") if host in (None, e["data"]["host"])]

    def log(self):
        return (self.run_dir / "logs" / "coordinator.log").read_text()

    def check_generations(self):
        """One after the other, each ended before the next began."""
        events = [(e["event"], e["data"]["generation"]) for e in journal(self.run_dir) if e["event"] in ("generation_started", "generation_ended")]
        expected = [(event, number) for number in range(1, len(self.generations()) + 1) for event in ("generation_started", "generation_ended")]
        self.assertEqual(events, expected)

    def check_journal(self):
        """Every line is whole, and its number is the next one."""
        lines = [json.loads(line) for line in (self.run_dir / "journal.jsonl").read_text().splitlines()]
        self.assertEqual([line["seq"] for line in lines], list(range(1, len(lines) + 1)))

    def check_exact(self, fault_at, what, longest):
        """The run finishes by itself, with one line a step and the weights of one left alone, and stood still for `longest` seconds at most."""
        output, _ = self.child.communicate(timeout=240)
        self.assertEqual(self.child.returncode, 0, output[-4000:])
        lines = train_lines(self.run_dir)
        self.assertEqual([line["step"] for line in lines], list(range(1, len(lines) + 1)), "no step is taken twice")
        times = [fault_at, *sorted(seconds_of(line) for line in lines if seconds_of(line) > fault_at)]
        pause = max(later - earlier for earlier, later in zip(times, times[1:]))
        print(f"{what}: {pause:.2f} s without a step", flush=True)
        self.assertLess(pause, longest)
        self.assertEqual(json.loads((self.run_dir / "evaluation" / "summary.json").read_text())["weights_sha256"], self.alone())
        self.check_generations()
        self.check_journal()
