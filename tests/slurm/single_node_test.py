"""slurm/single-node.sbatch: what it starts, what it relays and when it goes back into the queue."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "slurm" / "single-node.sbatch"

# Says how it was called, then waits for a signal under which the real one stops (exit status 5), or ends as told.
PLUMBLINE = """\
#!/bin/bash
trap 'echo got USR1 >> calls; exit 5' USR1
trap 'echo got TERM >> calls; exit 5' TERM
echo "$*" >> calls
if [ -n "${ENDS_WITH:-}" ]; then exit "$ENDS_WITH"; fi
echo up > ready
while :; do sleep 0.02; done
"""


class SingleNode(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="plumbline-slurm-"))
        self.addCleanup(shutil.rmtree, self.dir)
        self.tool("plumbline", PLUMBLINE)
        self.tool("tools/scontrol", '#!/bin/sh\necho "scontrol $*" >> calls\nexit "${SCONTROL:-0}"\n')
        os.mkfifo(self.dir / "ready")

    def tool(self, name, text):
        path = self.dir / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def submit(self, *args, **env):
        env = {"PATH": f"{self.dir / 'tools'}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "SLURM_NTASKS": "3",
               "SLURM_SUBMIT_DIR": str(self.dir), **env}
        env = {name: value for name, value in env.items() if value is not None}
        return subprocess.Popen(["bash", str(SCRIPT), *args], cwd="/", env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def end(self, job):
        out, _ = job.communicate(timeout=60)
        calls = self.dir / "calls"
        return job.returncode, calls.read_text().splitlines() if calls.exists() else [], out

    def signalled(self, number, **env):
        job = self.submit("c.yaml", "runs/a", **env)
        (self.dir / "ready").read_text()  # Returns once the stand-in is up.
        job.send_signal(number)
        return self.end(job)

    def test_a_new_run_is_trained_with_a_worker_a_task(self):
        status, calls, _ = self.end(self.submit("c.yaml", "runs/a b", "--set", "train.steps=9", ENDS_WITH="0"))
        self.assertEqual((status, calls), (0, ["train c.yaml --run runs/a b --workers 3 --set train.steps=9"]))

    def test_a_run_that_is_there_is_resumed(self):
        (self.dir / "runs" / "a").mkdir(parents=True)
        (self.dir / "runs" / "a" / "journal.jsonl").touch()
        status, calls, _ = self.end(self.submit("c.yaml", "runs/a", "--set", "train.steps=9", ENDS_WITH="0"))
        self.assertEqual((status, calls), (0, ["resume runs/a --workers 3"]))

    def test_without_tasks_the_configuration_decides(self):
        _, calls, _ = self.end(self.submit("c.yaml", "runs/a", ENDS_WITH="0", SLURM_NTASKS=None))
        self.assertEqual(calls, ["train c.yaml --run runs/a"])

    def test_the_status_is_the_coordinators(self):
        for status in (2, 4, 5, 137):
            self.assertEqual(self.end(self.submit("c.yaml", "runs/a", ENDS_WITH=str(status)))[0], status)

    def test_the_warning_stops_the_run_and_queues_the_job_again(self):
        status, calls, _ = self.signalled(signal.SIGUSR1)
        self.assertEqual((status, calls[1:]), (0, ["got USR1", "scontrol requeue 7"]))

    def test_a_refused_requeue_leaves_the_run_resumable(self):
        status, _, out = self.signalled(signal.SIGUSR1, SCONTROL="1")
        self.assertEqual(status, 5)
        self.assertIn("submit the same line", out)

    def test_a_cancelled_job_stays_out_of_the_queue(self):
        status, calls, _ = self.signalled(signal.SIGTERM)
        self.assertEqual((status, calls[1:]), (5, ["got TERM"]))

    def test_missing_arguments_say_how(self):
        status, calls, out = self.end(self.submit("c.yaml"))
        self.assertEqual((status, calls), (2, []))
        self.assertIn("CONFIG RUN", out)


if __name__ == "__main__":
    unittest.main()
