"""Runs as Slurm jobs on a real cluster of one machine: whatever the cluster does to a job, the run ends with the weights of one left alone."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from cluster import Cluster  # noqa: E402
from harness import CONFIG, PLUMBLINE, RECIPE, held_back, journal, tiny_rows, weights_sha256, write_jsonl  # noqa: E402

LONG = ["--set", "train.steps=600", "--set", "checkpoint.every=20", "--set", "evaluate.generations=4", "--set", "checkpoint.keep=2"]


@unittest.skipIf(Cluster.missing(), Cluster.missing())
class OnACluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="plumbline-cluster-"))
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        for file, rows in tiny_rows().items():
            write_jsonl(cls.dir / file, rows)
        (cls.dir / "recipe.yaml").write_text(RECIPE)
        (cls.dir / "tiny.yaml").write_text(CONFIG)
        (cls.dir / "slurm").mkdir()
        cls.cluster = Cluster(cls.dir / "slurm")
        cls.cluster.env["XDG_STATE_HOME"] = str(cls.dir / "home")
        cls.cluster.__enter__()
        cls.addClassCleanup(cls.cluster.__exit__)
        cls.call("curate", "recipe.yaml", "--out", "data")
        cls.call("train", "tiny.yaml", "--run", "alone", *LONG)
        cls.expected = weights_sha256(cls.dir / "alone")

    @classmethod
    def call(cls, *args, status=0, elsewhere=False):
        """plumbline, in the cluster's environment; `elsewhere`: on a host of another name, as a login node is."""
        command = [str(PLUMBLINE), *map(str, args)]
        if elsewhere:
            command = ["unshare", "--uts", "sh", "-c", 'hostname login && exec "$@"', "sh", *command]
        done = subprocess.run(command, cwd=cls.dir, env=cls.cluster.env, text=True, capture_output=True, timeout=300, stdin=subprocess.DEVNULL)
        if done.returncode != status:
            raise AssertionError(f"{command} ended with {done.returncode}, not {status}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return done.stdout + done.stderr

    def submit(self, name, *options, sets=LONG):
        """The job's id and the run directory."""
        out = self.call("submit", "tiny.yaml", "--run", name, "--workers-per-node", 2, *options, *sets)
        job = re.search(r"(?m)^job  (\d+)$", out).group(1)
        return job, self.dir / name

    def wait(self, condition, what, timeout=120):
        return self.cluster.wait(condition, what, timeout)

    def trains(self, run, commits=2):
        """Waits until the run has so many checkpoints; the journal's generations."""
        self.wait(lambda: len(journal(run, "checkpoint_committed")) >= commits, f"{commits} checkpoints of {run.name}")

    def ends_exactly(self, job, run):
        self.wait(lambda: journal(run, "run_finished") or self.cluster.state(job) in ("FAILED", "CANCELLED", "TIMEOUT"), f"the end of {run.name}", 240)
        log = "".join(path.read_text() for path in run.glob("logs/slurm-*.log"))
        self.assertTrue(journal(run, "run_finished"), log[-3000:])
        self.assertEqual(weights_sha256(run), self.expected)
        self.wait(lambda: self.cluster.state(job) == "COMPLETED", f"the end of job {job}")

    def resumptions(self, run):
        return [entry["data"]["start_step"] for entry in journal(run, "generation_started") if entry["data"]["resume_from"] is not None]

    def test_submit_and_watch_from_a_login_node(self):
        job, run = self.submit("watched", "--time", 10)
        self.assertEqual(json.loads((run / "job.json").read_text())["job"], job)
        self.trains(run, 1)
        status = json.loads(self.call("status", job, "--json", elsewhere=True))
        self.assertEqual((status["state"], status["run"]), ("running", str(run)), "its coordinator cannot be asked from there")
        self.assertGreater(status["step"], 0)
        here = json.loads(self.call("status", job, "--json"))
        self.assertEqual([worker["lanes"] for worker in here["workers"]], [[0, 6], [6, 12]], "on the job's own host it is asked")
        follower = subprocess.Popen([str(PLUMBLINE), "logs", job, "-f"], cwd=self.dir, env=self.cluster.env, text=True, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        self.addCleanup(lambda: (follower.kill(), follower.wait(), follower.stdout.close()))
        self.ends_exactly(job, run)
        out, _ = follower.communicate(timeout=60)
        self.assertIn("[rank 1]", out)
        self.assertIn("the run has finished", out)
        shutil.rmtree(self.dir / "home")  # Then Slurm's own record of the job leads to the run.
        self.assertEqual(json.loads(self.call("status", job, "--json"))["state"], "finished")
        self.assertIn("is known here", self.call("status", "99999", status=2))

    def test_scontrol_requeue(self):
        job, run = self.submit("requeued", "--requeue")
        self.trains(run)
        self.cluster.run("scontrol", "requeue", job)
        self.ends_exactly(job, run)
        self.assertTrue(self.resumptions(run))

    def test_the_time_limit(self):
        # Slurm counts in minutes and warns at a moment of its own choosing, up to a minute before the one it is told.
        # The workers are held back until it comes, or a run so short would end before.
        job, run = self.submit("limited", "--requeue", "--time", 1, "--warning", 52)
        self.trains(run, 1)
        workers = json.loads(self.call("status", job, "--json"))["workers"]
        with held_back([worker["pid"] for worker in workers], share=0.95):
            self.wait(lambda: journal(run, "run_stopped"), "the warning, and the run's stop")
        self.ends_exactly(job, run)
        stops = journal(run, "run_stopped")
        self.assertTrue(stops, "the warning came")
        self.assertIn("goes back into the queue", next(run.glob("logs/slurm-*.log")).read_text())
        self.assertEqual(self.resumptions(run)[0], stops[0]["data"]["step"], "not a step is lost")

    def test_preemption(self):
        job, run = self.submit("preempted", "--requeue", "--partition", "low")
        self.trains(run)
        script = self.dir / "urgent.sh"
        script.write_text("#!/bin/sh\nwhile [ ! -e done ]; do sleep 0.2; done\n")
        urgent = self.cluster.run("sbatch", "--parsable", "--partition=high", "--nodes=3", "--exclusive", f"--chdir={self.dir}", "--output=/dev/null", script).strip()
        self.wait(lambda: journal(run, "run_stopped"), "the run's stop")
        self.wait(lambda: self.cluster.state(urgent) == "RUNNING", "the urgent job")
        self.assertEqual(self.cluster.state(job), "PENDING")
        (self.dir / "done").touch()
        self.ends_exactly(job, run)
        self.assertEqual(self.resumptions(run), [journal(run, "run_stopped")[0]["data"]["step"]], "not a step is lost")

    def test_scancel_leaves_a_run_that_goes_on_when_submitted_again(self):
        job, run = self.submit("cancelled", "--requeue")
        self.trains(run)
        self.cluster.run("scancel", job)
        self.wait(lambda: self.cluster.state(job) == "CANCELLED", "the job's end")
        self.wait(lambda: journal(run, "run_stopped"), "the run's stop")
        again = self.cluster.run("sbatch", "--parsable", run / "job.sbatch").strip()
        self.ends_exactly(again, run)

    def test_stop_from_a_login_node(self):
        job, run = self.submit("stopped")
        self.trains(run)
        said = self.call("stop", job, elsewhere=True)
        self.assertIn("is told to stop", said)
        self.assertTrue(journal(run, "run_stopped"), "stop waits until the run has stopped")
        self.wait(lambda: self.cluster.state(job) == "FAILED", "the job's end")  # exit status 5: stopped, resumable
        self.call("resume", run)
        self.assertEqual(weights_sha256(run), self.expected)

    def test_stop_of_a_job_that_waits(self):
        self.cluster.run("scontrol", "update", "partitionname=low", "state=down")
        self.addCleanup(self.cluster.run, "scontrol", "update", "partitionname=low", "state=up")
        job, run = self.submit("waiting")
        self.assertEqual(self.cluster.state(job), "PENDING")
        self.assertIn("out of the queue", self.call("stop", run))
        self.wait(lambda: self.cluster.state(job) == "CANCELLED", "the job's end")

    def test_a_sweep(self):
        short = ["--set", "train.steps=12"]
        out = self.call("submit", "tiny.yaml", "--run", "sweep", "--sweep", "seed=5,6", "--sweep", "optimizer.clip_norm=0.5,1", *short)
        job = re.search(r"(?m)^job  (\d+)$", out).group(1)
        index = json.loads((self.dir / "sweep" / "sweep.json").read_text())
        self.assertEqual(index["job"], job)
        self.assertEqual([entry["run"] for entry in index["runs"]],
                         ["0-seed=5-clip_norm=0.5", "1-seed=5-clip_norm=1", "2-seed=6-clip_norm=0.5", "3-seed=6-clip_norm=1"])
        runs = [self.dir / "sweep" / entry["run"] for entry in index["runs"]]
        for run in runs:
            self.wait(lambda run=run: journal(run, "run_finished"), f"the end of {run.name}")
        for entry, run in zip(index["runs"], runs):
            with self.subTest(run=run.name):
                self.call("train", "tiny.yaml", "--run", f"alone-{entry['task']}", *short, *(word for key, value in entry["set"].items() for word in ("--set", f"{key}={value}")))
                self.assertEqual(weights_sha256(run), weights_sha256(self.dir / f"alone-{entry['task']}"))
        self.assertEqual(json.loads(self.call("status", f"{job}_2", "--json"))["run"], str(runs[2]))
        self.assertIn(f"{job}_3", self.call("status", job, status=2))

    def test_a_node_that_dies(self):
        job, run = self.submit("orphaned", "--requeue")
        self.trains(run)
        node = self.cluster.run("squeue", "--noheader", f"--jobs={job}", "--format=%N").strip()
        self.cluster.lose_node(node, job)
        self.addCleanup(self.cluster.restore_node, node)
        self.wait(lambda: self.cluster.state(job) in ("PENDING", "RUNNING") and self.resumptions(run), "the run on another node", 180)
        self.ends_exactly(job, run)

    def test_several_nodes(self):
        job, run = self.submit("wide", "--nodes", 3)
        self.trains(run)
        status = json.loads(self.call("status", job, "--json"))
        self.assertEqual(len(status["workers"]), 6)
        config = (run / "config.yaml").read_text()
        self.assertIn("launcher: srun", config)
        self.ends_exactly(job, run)
        self.assertEqual(len(journal(run, "generation_started")), 1)

    def test_a_worker_of_several_nodes_that_dies(self):
        job, run = self.submit("wounded", "--nodes", 2)
        self.trains(run)
        worker = json.loads(self.call("status", job, "--json"))["workers"][-1]
        os.kill(worker["pid"], signal.SIGKILL)
        self.ends_exactly(job, run)
        self.assertEqual([entry["data"]["worker"] for entry in journal(run, "worker_lost")], [worker["worker"]])
        self.assertIn("regrouped", [entry["data"]["reason"] for entry in journal(run, "generation_started")])

    def test_a_node_of_several_that_dies(self):
        job, run = self.submit("halved", "--nodes", 2)
        self.trains(run)
        first, second = sorted(self.cluster.run("scontrol", "show", "hostnames", self.cluster.run("squeue", "--noheader", f"--jobs={job}", "--format=%N").strip()).split())
        self.cluster.lose_node(second, job, only_there=True)
        self.addCleanup(self.cluster.restore_node, second)
        self.ends_exactly(job, run)
        lost = [(entry["data"]["worker"], entry["data"]["pid"], entry["data"]["reason"]) for entry in journal(run, "worker_lost")]
        self.assertEqual(sorted({worker for worker, _, _ in lost}), [2, 3], f"both of {second}'s, none of {first}'s: {lost}")
        self.assertEqual(self.resumptions(run), [], "nobody went back to a checkpoint")


if __name__ == "__main__":
    unittest.main()
