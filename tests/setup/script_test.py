"""The script ./plumbline, in a copy of the project with stand-ins for cmake, dpkg-query, apt-get, id and sudo.

The stand-ins record how they were called in `calls`; the one for cmake "builds" a program that prints how it was started.
"""
import fcntl
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]

CMAKE = """#!/bin/bash
echo "cmake $*" >> "$CALLS"
[[ -z ${CMAKE_FAILS:-} ]] || { echo "the compiler said no"; exit 1; }
if [[ $1 == --build ]]; then
  mkdir -p "$2/bin"
  cp "$PROGRAM" "$2/bin/plumbline"
fi
"""
PROGRAM = """#!/bin/bash
printf 'arguments:'; printf ' <%s>' "$@"; echo
echo "home: $PLUMBLINE_HOME"
echo "folder: $PWD"
[[ ${1:-} != wait ]] || { trap 'exit 130' INT; echo ready; while :; do sleep 0.1; done; }
exit ${STATUS:-0}
"""
DPKG_QUERY = """#!/bin/bash
echo "dpkg-query" >> "$CALLS"
for word in "${@:4}"; do
  [[ " ${MISSING:-} " == *" $word "* ]] && echo "$word not-installed" || echo "$word installed"
done
"""
RECORD = """#!/bin/bash
echo "${0##*/} $*" >> "$CALLS"
"""


class Script(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="plumbline setup "))  # with a space: paths must be quoted
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.clone = self.dir / "clone"
        for folder in ("common", "coordinator/curate", "worker", "tests/parity", "configs"):
            (self.clone / folder).mkdir(parents=True)
        shutil.copytree(SOURCE / "tests/bench", self.clone / "tests/bench", ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("plumbline", "CMakeLists.txt", "CMakePresets.json", "coordinator/curate/requirements.txt",
                     "worker/requirements-cpu.txt", "worker/requirements-cuda.txt", "tests/requirements.txt",
                     "tests/parity/requirements.txt", "tests/parity/requirements-peft.txt", "tests/parity/requirements-trl.txt"):
            shutil.copy(SOURCE / file, self.clone / file)
        (self.clone / "common" / "core.cpp").write_text("")
        self.tools = self.dir / "tools"
        self.tools.mkdir()
        self.calls = self.dir / "calls"
        self.tool("cmake", CMAKE)
        self.tool("dpkg-query", DPKG_QUERY)
        for name in ("apt-get", "sudo"):
            self.tool(name, RECORD)
        self.tool("id", '#!/bin/sh\necho "${USER_ID:-0}"\n')
        program = self.dir / "program"
        program.write_text(PROGRAM)
        program.chmod(0o755)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PLUMBLINE_")}
        self.env = {**inherited, "PATH": f"{self.tools}:{os.environ['PATH']}", "CALLS": str(self.calls), "PROGRAM": str(program),
                    "PLUMBLINE_DEVICE": "cpu"}

    def tool(self, name, text):
        path = self.tools / name
        path.write_text(text)
        path.chmod(0o755)

    def run_script(self, *args, script=None, cwd=None, **env):
        return subprocess.run([str(script or self.clone / "plumbline"), *args], text=True, capture_output=True, timeout=60,
                              stdin=subprocess.DEVNULL, cwd=cwd or self.dir, env={**self.env, **env})

    def called(self):
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        self.calls.unlink(missing_ok=True)
        return lines

    def test_sets_up_and_hands_over(self):
        done = self.run_script("status", "a run", STATUS="5")
        self.assertEqual(done.returncode, 5, "the program's exit status is the script's")
        self.assertEqual(done.stdout, f"arguments: <status> <a run>\nhome: {self.clone}\nfolder: {self.dir}\n",
                         "standard output is the program's alone")
        self.assertIn("Building the command line", done.stderr)
        self.assertRegex(done.stderr, r"done in \d+ s")
        calls = self.called()
        self.assertTrue(any("-DPLUMBLINE_WORKER=OFF -DBUILD_TESTING=OFF" in call for call in calls), calls)
        self.assertTrue(any(call.endswith("--target plumbline") for call in calls), calls)
        self.assertFalse((self.clone / ".venv").exists(), "reading a status needs no Python environment")

    def test_a_second_start_does_nothing(self):
        self.run_script("status")
        self.called()
        done = self.run_script("status")
        self.assertEqual((done.returncode, done.stderr, self.called()), (0, "", []))

    def test_a_second_start_is_quick(self):
        self.run_script("status")
        program = self.clone / "build/release/bin/plumbline"

        def fastest(command):
            times = []
            for _ in range(15):
                began = time.perf_counter()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=self.env)
                times.append(time.perf_counter() - began)
            return min(times)

        behind = fastest([self.clone / "plumbline", "status"]) - fastest([program, "status"])
        print(f"behind the plain program: {1000 * behind:.0f} ms", file=sys.stderr)
        self.assertLess(behind, 0.2)

    def test_a_changed_added_or_removed_source_is_built(self):
        self.run_script("status")
        for change in (lambda: (self.clone / "common/core.cpp").write_text("int x;"),
                       lambda: (self.clone / "common/new.cpp").write_text(""),
                       lambda: (self.clone / "common/new.cpp").unlink()):
            self.called()
            change()
            self.assertEqual(self.run_script("status").returncode, 0)
            self.assertEqual([call.split()[1] for call in self.called()], ["--build"])
        (self.clone / "worker/model.cpp").write_text("")
        self.run_script("status")
        self.assertEqual(self.called(), [], "the command line does not depend on the worker")

    def test_help_is_the_programs_and_the_scripts(self):
        done = self.run_script("--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("arguments: <--help>", done.stdout)
        for word in ("setup", "build", "test [ctest arguments]", "bench", "PLUMBLINE_DEVICE"):
            self.assertIn(word, done.stdout)
        self.assertEqual(self.run_script("train", "--help").returncode, 0)
        self.assertFalse((self.clone / ".venv").exists(), "help needs no worker")

    def test_an_unknown_device(self):
        done = self.run_script("status", PLUMBLINE_DEVICE="gpu")
        self.assertEqual(done.returncode, 2)
        self.assertIn("PLUMBLINE_DEVICE=gpu is no device: it is cpu or cuda", done.stderr)
        self.assertEqual(self.called(), [])

    def test_cuda_has_its_own_build(self):
        self.assertEqual(self.run_script("status", PLUMBLINE_DEVICE="cuda").returncode, 0)
        self.assertTrue(any("--preset cuda" in call for call in self.called()))
        self.assertTrue((self.clone / "build/cuda/bin/plumbline").exists())

    def test_missing_packages_are_installed_by_root(self):
        done = self.run_script("status", MISSING="libre2-dev ninja-build")
        self.assertEqual(done.returncode, 0, done.stderr)
        installs = [call for call in self.called() if call.startswith("apt-get") and " install " in call]
        self.assertEqual(len(installs), 1)
        self.assertTrue(installs[0].endswith(" ninja-build libre2-dev"), installs[0])

    def test_missing_packages_without_root_name_the_command(self):
        self.tool("sudo", "#!/bin/sh\nexit 1\n")
        done = self.run_script("status", MISSING="libre2-dev", USER_ID="1000")
        self.assertEqual(done.returncode, 6)
        self.assertIn("sudo apt-get update && sudo apt-get install -y libre2-dev", done.stderr)
        self.assertFalse((self.clone / "build/release").exists())
        self.assertEqual([call for call in self.called() if call.startswith("apt-get")], [])

    def test_missing_packages_with_sudo(self):
        done = self.run_script("status", MISSING="libre2-dev", USER_ID="1000")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(any(re.match(r"sudo env .*apt-get .*install -y .*libre2-dev$", call) for call in self.called()))

    def test_packages_that_apt_cannot_install(self):
        self.tool("apt-get", "#!/bin/sh\necho 'E: Unable to locate package'\nexit 100\n")
        done = self.run_script("status", MISSING="libre2-dev")
        self.assertEqual(done.returncode, 6)
        self.assertIn("E: Unable to locate package", done.stderr)
        self.assertIn("apt-get install -y libre2-dev", done.stderr)
        self.assertEqual(self.run_script("status", MISSING="libre2-dev").returncode, 6, "it is no stamp that a failure leaves")

    def test_a_failed_build(self):
        done = self.run_script("status", CMAKE_FAILS="1")
        self.assertEqual(done.returncode, 6)
        self.assertIn("the compiler said no", done.stderr)
        self.assertIn("cmake --preset release", done.stderr)
        self.assertEqual(self.run_script("status").returncode, 0, "mended, it goes on")

    def test_an_environment_that_pip_cannot_fill(self):
        done = self.run_script("train", "run.yaml", PIP_NO_INDEX="1", PIP_FIND_LINKS="")
        self.assertEqual(done.returncode, 6)
        self.assertIn("pip could not install worker/requirements-cpu.txt", done.stderr)
        self.assertIn("-m pip install --no-deps -r", done.stderr)

    def environments(self, *names):
        """Stand-ins for Python environments, which record what was to be installed in them."""
        for name in names:
            python = self.clone / name / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.write_text('#!/bin/bash\nfolder=${0%/bin/python}\necho "installed ${folder##*/} ${!#}" >> "$CALLS"\n')
            python.chmod(0o755)

    def installed(self):
        lines = [line.split(" ", 2) for line in self.called() if line.startswith("installed ")]
        return {(environment, file.removeprefix(f"{self.clone}/")) for _, environment, file in lines}

    def test_setup_parity_installs_the_peers_where_each_belongs(self):
        self.environments(".venv", ".venv-cuda", ".venv-trl")
        own = {(".venv", file) for file in ("worker/requirements-cpu.txt", "tests/requirements.txt", "coordinator/curate/requirements.txt")}
        peers = {(".venv-cuda", "worker/requirements-cuda.txt"), (".venv-cuda", "tests/parity/requirements.txt"),
                 (".venv-cuda", "tests/parity/requirements-peft.txt"), (".venv-trl", "tests/parity/requirements-trl.txt")}
        self.assertEqual(self.run_script("setup").returncode, 0)
        self.assertEqual(self.installed(), own)
        self.assertEqual(self.run_script("setup", "parity").returncode, 0)
        self.assertEqual(self.installed(), peers)
        self.assertEqual(self.run_script("setup", "parity").returncode, 0)
        self.assertEqual(self.installed(), set(), "nothing is done twice")
        done = self.run_script("setup", "everything")
        self.assertEqual(done.returncode, 2)
        self.assertIn("setup takes no argument but parity: everything", done.stderr)

    def test_only_tests_of_parity_install_the_peers(self):
        self.environments(".venv", ".venv-cuda", ".venv-trl")
        self.tool("ctest", RECORD)
        self.assertEqual(self.run_script("test", "-R", "report").returncode, 0)
        self.assertNotIn(".venv-trl", {environment for environment, _ in self.installed()})
        for label in (["-L", "parity"], ["-Lparity"], ["--label-regex", "worker|parity"], ["--label-regex=parity"]):
            shutil.rmtree(self.clone / ".venv-trl")
            self.environments(".venv-trl")
            self.assertEqual(self.run_script("test", *label).returncode, 0)
            self.assertIn((".venv-trl", "tests/parity/requirements-trl.txt"), self.installed(), label)

    def test_trls_environment_sees_the_torch_of_the_other(self):
        self.environments(".venv", ".venv-cuda")
        done = self.run_script("setup", "parity", PIP_NO_INDEX="1", PIP_FIND_LINKS="")
        self.assertEqual(done.returncode, 6)
        self.assertIn("pip could not install tests/parity/requirements-trl.txt", done.stderr)
        (link,) = (self.clone / ".venv-trl").glob("lib/python*/site-packages/torch-of-venv-cuda.pth")
        self.assertEqual(pathlib.Path(link.read_text().strip()), self.clone / ".venv-cuda" / link.parent.relative_to(self.clone / ".venv-trl"))

    def test_only_a_simulated_recipe_needs_the_simulator(self):
        recipe = self.dir / "recipe.yaml"
        recipe.write_text("sources:\n  - {format: jsonl}\n")
        self.assertEqual(self.run_script("curate", "recipe.yaml", "--out", "data").returncode, 0)
        self.assertFalse((self.clone / ".venv").exists())
        recipe.write_text("sources:\n  - {format: simulated}\n")
        done = self.run_script("curate", "recipe.yaml", "--out", "data", PIP_NO_INDEX="1", PIP_FIND_LINKS="")
        self.assertEqual(done.returncode, 6)
        self.assertIn("pip could not install coordinator/curate/requirements.txt", done.stderr)

    def have_libtorch(self):
        """As if set-up had been through for the worker."""
        python = self.clone / ".venv/bin/python"
        python.parent.mkdir(parents=True)
        python.symlink_to(sys.executable)
        shutil.copy(SOURCE / "worker/requirements-cpu.txt", self.clone / ".venv/.installed-worker-requirements-cpu.txt")

    def test_bench_refuses_an_unknown_suite_at_once(self):
        done = self.run_script("bench", "speed", "--quick")
        self.assertEqual(done.returncode, 2)
        self.assertIn("there is no suite speed; there are train, preference, generate, scaling, memory", done.stderr)
        self.assertEqual(self.called(), [])
        self.assertFalse((self.clone / ".venv").exists())
        done = self.run_script("bench", "--help")
        self.assertEqual((done.returncode, self.called()), (0, []))
        self.assertIn("--rounds", done.stdout)

    def test_bench_of_a_part_needs_no_peers(self):
        self.have_libtorch()
        suites = self.clone / "build/release/bin/bench"
        suites.mkdir(parents=True)
        for part in ("plan", "reduction"):
            (suites / part).write_text('#!/bin/bash\necho "${0##*/} $*"\n')
            (suites / part).chmod(0o755)
        done = self.run_script("bench", "plan", "reduction", "--benchmark_filter=a b")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.split("\n"), ["", "plan", "plan --benchmark_filter=a b", "", "reduction",
                                                   "reduction --benchmark_filter=a b", ""])
        self.assertFalse((self.clone / ".venv-bench").exists())

    def test_bench_has_its_peers_in_an_environment_of_their_own(self):
        self.have_libtorch()
        done = self.run_script("bench", "train", PIP_NO_INDEX="1", PIP_FIND_LINKS="")
        self.assertEqual(done.returncode, 6)
        self.assertRegex(done.stderr, r"\.venv-cuda/bin/python -m pip install --no-deps -r \S.*worker/requirements-cuda\.txt")
        for file in ("worker/requirements-cuda.txt", "tests/parity/requirements.txt"):
            shutil.copy(SOURCE / file, self.clone / ".venv-cuda" / (".installed-" + file.replace("/", "-")))
        done = self.run_script("bench", "train", PIP_NO_INDEX="1", PIP_FIND_LINKS="")
        self.assertRegex(done.stderr, r"\.venv-bench/bin/python -m pip install --no-deps -r \S.*tests/bench/requirements\.txt")
        shutil.copy(SOURCE / "tests/bench/requirements.txt", self.clone / ".venv-bench/.installed-tests-bench-requirements.txt")
        (self.clone / "tests/bench/run.py").write_text("import sys\nprint(sys.executable, *sys.argv[1:])\n")
        done = self.run_script("bench", "train", "--quick")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.splitlines()[-1],
                         f"{self.clone}/.venv-bench/bin/python --bin {self.clone}/build/release/bin train --quick")

    def test_two_at_once_build_one_after_the_other(self):
        self.run_script("status")
        (self.clone / "common/core.cpp").write_text("int y;")
        self.called()
        with open(self.clone / "build/.lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            waiting = subprocess.Popen([str(self.clone / "plumbline"), "status"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                       text=True, env=self.env, cwd=self.dir)
            self.assertIn("waiting for it", waiting.stderr.readline())
            self.assertEqual(self.called(), [])
        _, rest = waiting.communicate(timeout=30)
        self.assertEqual(waiting.returncode, 0)
        self.assertIn("Building", rest)

    def test_signals_reach_the_program(self):
        self.run_script("status")
        with subprocess.Popen([str(self.clone / "plumbline"), "wait"], stdout=subprocess.PIPE, text=True, env=self.env, cwd=self.dir) as child:
            while child.stdout.readline() != "ready\n":
                self.assertIsNone(child.poll())
            child.send_signal(signal.SIGINT)
            child.stdout.read()
            self.assertEqual(child.wait(10), 130)

    def test_through_a_link_from_another_folder(self):
        link = self.dir / "link"
        link.symlink_to(self.clone / "plumbline")
        done = self.run_script("status", script=link, cwd="/")
        self.assertIn(f"home: {self.clone}\nfolder: /\n", done.stdout)

    def test_readme_lists_the_packages(self):
        script = (SOURCE / "plumbline").read_text()
        block = re.search(r"declare -A packages=\((.*?)\n\)", script, re.S).group(1)
        packages = set(" ".join(re.findall(r"'([^']*)'", block)).split())
        self.assertGreater(len(packages), 20)
        readme = (SOURCE / "README.md").read_text()
        section = readme[readme.index("## Building with CMake alone"):]
        listed = set(re.search(r"`(build-essential [^`]*)`", section).group(1).split()) | {"chromium"}
        self.assertIn("`chromium`", section)
        self.assertEqual(listed, packages)

    def test_shellcheck(self):
        if not shutil.which("shellcheck"):
            self.skipTest("shellcheck is not installed; .ci/run installs it")
        scripts = [SOURCE / "plumbline", SOURCE / ".ci/run", *sorted(SOURCE.glob("slurm/*.sbatch"))]
        done = subprocess.run(["shellcheck", *map(str, scripts)], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    unittest.main()
