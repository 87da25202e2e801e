"""Elastic groups: whatever happens to workers, the run goes on by itself and ends with the weights of one left alone.

Faults are real: signals to real processes. $PLUMBLINE_RANDOM_KILLS sets how many kills the long schedule has (12 by
default). Every test prints how long training stood still, from the fault to the next step's line in metrics.jsonl.
"""

import ctypes
import os
import random
import signal
import subprocess
import time
import unittest

from elastic_runs import STEPS, ElasticRuns, newest_step, train_lines
from harness import held_back, journal, standing_metrics, wait_until, while_a_checkpoint_is_written

RANDOM_KILLS = int(os.environ.get("PLUMBLINE_RANDOM_KILLS", "12"))
RANDOM_STEPS = int(os.environ.get("PLUMBLINE_RANDOM_STEPS", max(3 * STEPS, 32 * RANDOM_KILLS)))  # more than they take


PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207


def suspend_training_thread(pid):
    """Stops the thread that trains, as a lost lock or a broken driver would; the others live. Only SIGKILL ends
    it, and nobody but this process could reap it then."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
        if libc.ptrace(request, pid, None, None) != 0:
            raise unittest.SkipTest(f"a thread cannot be suspended here: {os.strerror(ctypes.get_errno())}")


class Elastic(ElasticRuns):
    def test_sigkill_of_each_rank(self):
        for rank in (0, 1, 2):
            with self.subTest(rank=rank):
                self.run_dir = self.dir / f"run-{rank}"
                self.train(3)
                self.wait_for_step(20)
                at = self.fault([self.pids(3)[rank]], signal.SIGKILL)
                self.check_end(at, f"SIGKILL of rank {rank} of 3", longest=20)
                self.check_one_line_a_step()
                self.assertEqual(len(journal(self.run_dir, "worker_lost")), 1)

    def test_sigkill_of_two_at_once(self):
        self.train(3)
        self.wait_for_step(20)
        pids = self.pids(3)
        at = self.fault([pids[0], pids[2]], signal.SIGKILL)
        self.check_end(at, "SIGKILL of two of 3", longest=20)
        self.check_one_line_a_step()

    def test_sigkill_while_a_checkpoint_is_written(self):
        for rank in (0, 1):
            with self.subTest(rank=rank):
                self.run_dir = self.dir / f"run-{rank}"
                self.train(3, "--set", "checkpoint.every=8")
                self.wait_for_step(20)
                pids = self.pids(3)
                while_a_checkpoint_is_written(self.run_dir, lambda: self.child.poll() is not None)
                self.assertIsNone(self.child.poll(), "training is over before the fault")
                at = self.fault([pids[rank]], signal.SIGKILL)
                self.check_end(at, f"SIGKILL of rank {rank} of 3 while a checkpoint is written", longest=20)
                self.check_one_line_a_step()
                committed = [entry["data"]["step"] for entry in journal(self.run_dir, "checkpoint_committed")]
                self.assertEqual(committed, sorted(set(committed)))
                self.assertTrue(all(step % 8 == 0 for step in committed), committed)
                self.assertEqual(list((self.run_dir / "checkpoints").glob(".*")), [], "nothing half written is left")

    def test_sigkill_of_all_goes_back_to_the_checkpoint(self):
        self.train(3)
        self.wait_for_step(50)
        wait_until(lambda: journal(self.run_dir, "checkpoint_committed"), what="a checkpoint")
        at = self.fault(self.pids(3).values(), signal.SIGKILL)
        self.check_end(at, "SIGKILL of all 3", longest=60)
        self.assertIn("restarted after a loss", [entry["data"]["reason"] for entry in journal(self.run_dir, "generation_started")])

    def test_sigstop_is_taken_for_death(self):
        self.train(2, "--set", "control.worker_timeout_ms=1500")
        self.wait_for_step(20)
        at = self.fault([self.pids(2)[1]], signal.SIGSTOP)
        self.check_end(at, "SIGSTOP of rank 1 of 2 (silence of 1.5 s)", longest=30)
        self.check_one_line_a_step()
        self.assertIn("nothing was heard", journal(self.run_dir, "worker_lost")[0]["data"]["reason"])

    def test_a_hung_worker_is_given_up_with_its_stacks(self):
        self.train(3, "--set", "control.worker_timeout_ms=1000", "--set", "train.steps=400")
        self.wait_for_step(30)
        pid = self.pids(3)[1]
        suspend_training_thread(pid)
        at = time.time()
        lost = wait_until(lambda: journal(self.run_dir, "worker_lost"), what="the loss of the hung worker")[0]["data"]
        print(f"a hung worker was given up after {time.time() - at:.1f} s: {lost['reason']}", flush=True)
        self.assertEqual((lost["rank"], lost["pid"]), (1, pid))
        self.assertIn("it hangs", lost["reason"])
        stacks = next(self.run_dir.glob(f"logs/stacks-*-{pid}.txt")).read_text()
        self.assertIn("taken for hung", stacks)
        self.assertIn("Session::beat", stacks)
        self.assertRegex(stacks, rf"thread {pid} \(.*\), kernel: .*\nit does not answer")
        self.check_end(at, "a hung worker (silence limit 1 s)", longest=60)

    def test_lanes_move_away_from_a_slow_worker(self):
        steps = ["--set", "train.steps=300", "--set", "evaluate.every=0", "--set", "checkpoint.every=150", "--set", "snapshot.every=0"]
        self.train(2, *steps)
        self.wait_for_step(10)
        with held_back([self.pids(2)[1]]):
            moved = wait_until(lambda: [e["data"] for e in journal(self.run_dir, "generation_started") if e["data"]["lanes"] != [6, 6]],
                               what="other shares of the lanes")
            status = self.status(self.run_dir)
        self.assertEqual(sum(moved[0]["lanes"]), 12)
        self.assertTrue(all(worker["lane_seconds"] is None or worker["lane_seconds"] > 0 for worker in status["workers"]))
        self.check_end()
        self.assertEqual([line["step"] for line in train_lines(self.run_dir)], list(range(1, 301)))
        self.assertEqual(journal(self.run_dir, "worker_lost"), [])

    def test_an_mpirun_group_starts_again_as_one(self):
        for rank in (0, 1):
            with self.subTest(rank=rank):
                self.run_dir = self.dir / f"run-{rank}"
                self.train(2, "--set", "workers.launcher=mpirun")
                self.wait_for_step(50)
                at = self.fault([self.pids(2)[rank]], signal.SIGKILL)
                self.check_end(at, f"SIGKILL of rank {rank} of 2 under mpirun", longest=60)
                begun = journal(self.run_dir, "generation_started")[-1]["data"]
                self.assertEqual((begun["reason"], begun["resume_from"]), ("restarted after a loss", begun["start_step"]))
                self.assertEqual([step for kind, step in standing_metrics(self.run_dir) if kind == "train"], list(range(1, STEPS + 1)))

    def test_a_spare_takes_the_lost_ones_place(self):
        self.train(2, "--set", "workers.spares=1")
        self.wait_for_step(10)
        wait_until(lambda: self.status(self.run_dir)["waiting"]["ready"] == 1, what="a spare that is ready")
        self.assertEqual(len(journal(self.run_dir, "generation_started")), 1, "training is not interrupted for it")
        at = self.fault([self.pids(2)[1]], signal.SIGKILL)
        self.check_end(at, "SIGKILL of one of 2, with a spare", longest=20)
        self.check_one_line_a_step()
        self.assertEqual([entry["data"]["world"] for entry in journal(self.run_dir, "generation_started")], [2, 2], "never alone")

    def test_the_group_grows_back(self):
        self.train(3, "--set", "train.steps=100000")
        self.wait_for_step(20)
        self.fault([self.pids(3)[1]], signal.SIGKILL)
        wait_until(lambda: [e for e in journal(self.run_dir, "generation_started") if e["data"]["world"] == 2], what="a group of two")
        wait_until(lambda: journal(self.run_dir, "generation_started")[-1]["data"]["world"] == 3, what="a group of three again")
        self.assertEqual(len(self.pids(3)), 3)
        self.plumbline("stop", self.run_dir)
        self.assertEqual(self.child.wait(60), 5)

    def random_victim(self, rng):
        """A process of the run: workers while they start, join and copy too, and now and then the coordinator."""
        workers = subprocess.run(["pgrep", "-f", f"plumbline-worker --join {self.run_dir}"], capture_output=True, text=True).stdout.split()
        return int(rng.choice([*workers, self.child.pid]))

    def test_random_kills_lose_nothing(self):
        rng = random.Random(11)
        # The output goes to a file: that of hundreds of losses would fill a pipe that nobody reads.
        self.output = self.dir / "output"
        # On a slow machine a worker may be killed again and again while it starts: that alone leaves it out of this run.
        self.train(4, "--set", f"train.steps={RANDOM_STEPS}", "--set", "workers.max_restarts=1000")
        killed = {"worker": 0, "coordinator": 0}
        self.wait_for_step(3)
        began = time.monotonic()
        while sum(killed.values()) < RANDOM_KILLS and self.child.poll() is None:
            victim = self.random_victim(rng)
            self.fault([victim], signal.SIGKILL)
            if victim != self.child.pid:
                killed["worker"] += 1
            else:  # As the loop of a batch script does, or a person.
                killed["coordinator"] += 1
                self.child.wait()
                self.child = self.start("resume", self.run_dir, output=self.output)
            time.sleep(rng.choice([0.01, 0.1, 0.3, 0.8, 1.5]))
        self.assertEqual(sum(killed.values()), RANDOM_KILLS, "training was over before the last kill:\n" + self.output.read_text()[-3000:])
        took = time.monotonic() - began
        self.check_end()
        self.assertEqual([step for kind, step in standing_metrics(self.run_dir) if kind == "train"], list(range(1, RANDOM_STEPS + 1)))
        print(f"{killed} random kills in {took:.0f} s, {len(journal(self.run_dir, 'generation_started'))} generations", flush=True)

    def kill_coordinator(self):
        """SIGKILL; the workers' process numbers and the newest step that was recorded."""
        pids, step = set(self.pids().values()), newest_step(self.run_dir)
        at = self.fault([self.child.pid], signal.SIGKILL)
        self.child.wait()
        return at, pids, step

    def test_a_killed_coordinator_costs_no_step(self):
        self.train(3)
        self.wait_for_step(30)
        at, pids, step = self.kill_coordinator()
        self.child = self.start("resume", self.run_dir)
        self.wait_for_step(step + 20)
        self.assertEqual(set(self.pids(3).values()), pids, "the same workers go on")
        generations = journal(self.run_dir, "generation_started")
        self.assertEqual([entry["data"]["reason"] for entry in generations], ["started", "regrouped"])
        self.assertGreaterEqual(generations[-1]["data"]["start_step"], step)
        self.check_end(at, "SIGKILL of the coordinator, and resume")
        self.check_one_line_a_step()

    def test_a_lone_worker_outlives_its_coordinator(self):
        self.train(1)
        self.wait_for_step(30)
        at, pids, step = self.kill_coordinator()
        self.child = self.start("resume", self.run_dir)
        self.wait_for_step(step + 20)
        self.assertEqual(set(self.pids(1).values()), pids)
        self.check_end(at, "SIGKILL of the coordinator of one worker, and resume")
        self.check_one_line_a_step()

    def test_a_coordinator_that_stands_still_takes_nobody_for_dead(self):
        self.train(2, "--set", "control.worker_timeout_ms=1500")
        self.wait_for_step(20)
        self.fault([self.child.pid], signal.SIGSTOP)
        stopped = time.monotonic()
        wait_until(lambda: time.monotonic() - stopped > 4, what="more than the workers may be silent")
        at = self.fault([self.child.pid], signal.SIGCONT)
        self.check_end(at, "a coordinator stopped for 4 s goes on")
        self.check_one_line_a_step()
        self.assertEqual(journal(self.run_dir, "worker_lost"), [])
        self.assertIn("stood still", (self.run_dir / "logs" / "coordinator.log").read_text())

    def test_workers_die_while_there_is_no_coordinator(self):
        self.train(3)
        self.wait_for_step(30)
        at, pids, step = self.kill_coordinator()
        self.fault([sorted(pids)[0]], signal.SIGKILL)
        self.child = self.start("resume", self.run_dir)
        self.check_end(at, "SIGKILL of the coordinator and of a worker, and resume")
        self.check_one_line_a_step()
        self.assertGreaterEqual(journal(self.run_dir, "generation_started")[1]["data"]["start_step"], step)

    def test_another_configuration_takes_no_orphans(self):
        self.train(2)
        self.wait_for_step(50)
        wait_until(lambda: journal(self.run_dir, "checkpoint_committed"), what="a checkpoint")
        _, pids, _ = self.kill_coordinator()
        self.child = self.start("resume", self.run_dir, "--set", f"train.steps={STEPS + 40}")
        wait_until(lambda: len(journal(self.run_dir, "generation_started")) == 2, what="a new generation")
        self.assertFalse(set(self.pids(2).values()) & pids)
        self.assertEqual(journal(self.run_dir, "generation_started")[-1]["data"]["start_step"], 40, "from the checkpoint")
        output, _ = self.child.communicate(timeout=240)
        self.assertEqual(self.child.returncode, 0, output[-4000:])

    def test_orphans_leave_when_nobody_comes(self):
        self.train(2, "--set", "control.orphan_ms=1500")
        self.wait_for_step(20)
        _, pids, _ = self.kill_coordinator()
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), timeout=30, what="the orphans' end")
        self.plumbline("resume", self.run_dir)

    def test_training_waits_below_the_least_number(self):
        self.train(2, least=2)
        self.wait_for_step(20)
        at = self.fault([self.pids(2)[0]], signal.SIGKILL)
        self.check_end(at, "SIGKILL of one of 2 where 2 are needed", longest=30)
        self.assertEqual({entry["data"]["world"] for entry in journal(self.run_dir, "generation_started")}, {2})
        self.check_one_line_a_step()


if __name__ == "__main__":
    unittest.main()
