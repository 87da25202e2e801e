"""summary.py counts what ctest wrote, shows why tests were skipped, and fails when it should."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

SUMMARY = pathlib.Path(__file__).resolve().parents[1] / "summary.py"
PASSED = '<testcase name="plan" time="1.5" status="run"><system-out>fine</system-out></testcase>'
SKIPPED = '<testcase name="browser" time="0.1" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/>' \
          "<system-out>\nskipped: no Chromium here\n\n</system-out></testcase>"
FAILED = '<testcase name="wire" time="2" status="fail"><failure message=""/><system-out>no</system-out></testcase>'


class Summary(unittest.TestCase):
    def summary(self, *cases):
        with tempfile.NamedTemporaryFile("w", suffix=".xml", encoding="utf-8") as results:
            results.write(f'<?xml version="1.0"?><testsuite name="x">{"".join(cases)}</testsuite>')
            results.flush()
            return subprocess.run([sys.executable, str(SUMMARY), results.name], capture_output=True, text=True, check=False)

    def test_counts_and_reasons(self):
        done = self.summary(PASSED, SKIPPED, PASSED)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("skipped: browser: no Chromium here", done.stdout)
        self.assertEqual(done.stdout.splitlines()[-1], "2 passed, 0 failed, 1 skipped")

    def test_a_case_skipped_inside_a_program(self):
        output = "[ RUN      ] Nccl.Sums\nnccl_test.cpp:9: Skipped\nno GPU here\n\n[  SKIPPED ] Nccl.Sums (0 ms)\n" \
                 "[  SKIPPED ] 1 test, listed below:\n[  SKIPPED ] Nccl.Sums\n"
        done = self.summary(f'<testcase name="nccl" time="1" status="run"><system-out>{output}</system-out></testcase>')
        self.assertIn("skipped case: nccl: Nccl.Sums: no GPU here\n", done.stdout)
        self.assertEqual(done.stdout.splitlines()[-1], "1 passed, 0 failed, 0 skipped")

    def test_a_failure(self):
        done = self.summary(PASSED, FAILED)
        self.assertEqual(done.returncode, 1)
        self.assertIn("FAILED: wire", done.stdout)
        self.assertEqual(done.stdout.splitlines()[-1], "1 passed, 1 failed, 0 skipped")

    def test_nothing_run_is_no_success(self):
        self.assertEqual(self.summary().returncode, 1)
        self.assertEqual(self.summary(SKIPPED).returncode, 1)


if __name__ == "__main__":
    unittest.main()
