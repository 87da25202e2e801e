"""A real Slurm on one machine: munged, slurmctld and several slurmd, each with folders and ports of their own.

Nothing of the system's own Slurm is used or changed. The daemons run in the foreground as children of the test and end
with it. Where Slurm is not installed, or the daemons cannot run as this user, Cluster.missing() says so.
"""

import ctypes
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import time

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue", "scancel", "sinfo")
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"

# Credentials that expire soon: a job that goes back into the queue waits for as long as they last.
CONF = """\
ClusterName=plumbline
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/slurmd.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
SlurmdParameters=config_overrides
SlurmctldParameters=preempt_send_user_signal
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=2,default_queue_depth=100
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=20
MinJobAge=300
SlurmdTimeout=15
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first_port}-{last_port}] CPUs=2
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=60
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF
"""


def free_ports(count):
    """As many free ports in a row: slurm.conf wants a range."""
    while True:
        first = 20000 + secrets.randbelow(20000)
        sockets = []
        try:
            for port in range(first, first + count):
                sockets.append(socket.socket())
                sockets[-1].bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()


def end_with_parent():
    """In a daemon to be: SIGTERM comes when the test's process ends, however it ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


class Cluster:
    @staticmethod
    def missing():
        """Why there can be no cluster here; nothing when there can."""
        path = f"{os.environ['PATH']}:{SBIN}"
        absent = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
        if absent:
            return f"{', '.join(absent)}: not installed (Debian: slurm-wlm munge); `.ci/run slurm` installs them"
        if os.geteuid() != 0:
            return "slurmd needs root"
        return None

    def __init__(self, folder, nodes=3):
        self.folder = pathlib.Path(folder)
        self.nodes = nodes
        self.daemons = {}
        self.env = {**os.environ, "PATH": f"{os.environ['PATH']}:{SBIN}", "SLURM_CONF": str(self.folder / "slurm.conf")}
        for name in list(self.env):
            if name.startswith(("SLURM_", "SBATCH_")) and name != "SLURM_CONF":
                del self.env[name]

    def __enter__(self):
        first = free_ports(self.nodes + 1)
        (self.folder / "state").mkdir()
        (self.folder / "slurm.conf").write_text(CONF.format(
            host=socket.gethostname(), folder=self.folder, nodes=self.nodes, controller_port=first, first_port=first + 1, last_port=first + self.nodes))
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o600)
        try:
            self.start("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={self.folder}/munge.socket", f"--pid-file={self.folder}/munged.pid",
                       f"--log-file={self.folder}/munged.log", f"--seed-file={self.folder}/munged.seed")
            self.wait(lambda: (self.folder / "munge.socket").exists(), "munged's socket")
            self.start("slurmctld", "-D")
            for node in range(1, self.nodes + 1):
                self.start_node(f"n{node}")
            self.wait(lambda: self.run("sinfo", "--noheader", "--format=%T", check=False).strip() == "idle", "idle nodes")
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self, name, *args, program=None):
        log = open(self.folder / f"{name}.out", "ab")
        self.daemons[name] = subprocess.Popen([shutil.which(program or name, path=self.env["PATH"]), *args], env=self.env, stdin=subprocess.DEVNULL,
                                              stdout=log, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=end_with_parent)
        log.close()

    def start_node(self, node):
        self.start(f"slurmd.{node}", "-D", "-N", node, program="slurmd")

    def lose_node(self, node, job, only_there=False):
        """Kills a node's daemon and, before any of them can say a word, the processes of its job (`only_there`: on this node)."""
        daemon = self.daemons.pop(f"slurmd.{node}")
        daemon.kill()
        daemon.wait()
        for pid in self.processes_of(job, node if only_there else None):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    @staticmethod
    def processes_of(job, node=None):
        """slurmstepd first: it would tell of the others' end. `node`: of those that Slurm started there alone."""
        steps, others, children = [], [], {}
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                parent = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
                children.setdefault(parent, []).append(int(process.name))
                if node is not None:
                    there = f"SLURMD_NODENAME={node}".encode() in (process / "environ").read_bytes().split(b"\0")
                    if there and (process / "cmdline").read_bytes().split(b"\0")[0].endswith(b"plumbline-worker"):
                        others.append(int(process.name))
                        steps.append(parent)
                    continue
                if (process / "cmdline").read_bytes().startswith(f"slurmstepd: [{job}.".encode()):
                    steps.append(int(process.name))
                elif f"SLURM_JOB_ID={job}".encode() in (process / "environ").read_bytes().split(b"\0"):
                    others.append(int(process.name))
            except OSError:
                continue
        for pid in others:  # Workers that the coordinator starts on its own host do not know of the job.
            others += [child for child in children.get(pid, []) if child not in others]
        return steps + others

    def restore_node(self, node):
        self.start_node(node)
        self.wait(lambda: self.run("sinfo", "--noheader", f"--nodes={node}", "--format=%T", check=False).split()[:1] == ["idle"], f"node {node} again")

    def __exit__(self, *_):
        if "slurmctld" in self.daemons:
            self.run("scancel", "--user=root", check=False)
            try:
                self.wait(lambda: not self.run("squeue", "--noheader", check=False).strip(), "an empty queue", timeout=40)
            except AssertionError:
                pass
        for daemon in reversed(self.daemons.values()):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def run(self, *command, check=True):
        done = subprocess.run(list(map(str, command)), env=self.env, text=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        if check and done.returncode != 0:
            raise AssertionError(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def state(self, job):
        """Slurm's word for the job's state, of a job that has ended too."""
        text = self.run("scontrol", "--oneliner", "show", "job", job, check=False)
        return next((word.removeprefix("JobState=") for word in text.split() if word.startswith("JobState=")), "")

    def wait(self, condition, what, timeout=60):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            time.sleep(0.1)
        logs = "".join(f"--- {path.name}\n{path.read_text(errors='replace')[-1500:]}" for path in sorted(self.folder.glob("*.log")))
        raise AssertionError(f"{what} did not come within {timeout} s\n{logs}")
