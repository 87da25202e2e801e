#!/usr/bin/env python3
"""Opens made-up reports in headless Chromium: no console error, no request beyond the page, no blank chart, nothing wider
than the screen, untrusted text shown as text.

    report_page_test.py SYNTHETIC_REPORTS_PROGRAM FOLDER [--screenshots]
"""

import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from browser import Browser, find_chromium  # noqa: E402

BLANK = """[...document.querySelectorAll('canvas')].filter(canvas => {
  if (!canvas.width || !canvas.height) return true;
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  return !pixels.some(value => value !== 0);
}).map(canvas => canvas.getAttribute('aria-label'))"""
HOSTILE = "</script><script>document.title='broken out'</script>"


class ReportPage(unittest.TestCase):
    program, folder, screenshots = None, None, False

    @classmethod
    def setUpClass(cls):
        subprocess.run([cls.program, str(cls.folder)], check=True, stdout=subprocess.DEVNULL)
        cls.browser = Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.__exit__()

    def open(self, run, charts, **settings):
        page = self.browser.open(self.folder / run / "report.html", **settings)
        if self.screenshots:
            kind = "phone" if settings.get("phone") else "dark" if settings.get("dark") else "light"
            page.screenshot(self.folder / f"{run}-{kind}.png")
        self.assertEqual(page.evaluate("document.documentElement.dataset.drawn"), "yes")
        self.assertEqual(page.errors, [])
        self.assertEqual([url for url in page.requests if not url.startswith(("file:", "data:"))], [])
        self.assertEqual(page.evaluate("document.querySelectorAll('canvas').length"), charts)
        self.assertEqual(page.evaluate(BLANK), [])
        self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth"), settings.get("width", 1280))
        self.assertEqual(page.evaluate("[...document.querySelectorAll('canvas')].filter(c => !c.getAttribute('aria-label')).length"), 0)
        return page

    def test_finished_run(self):
        page = self.open("finished", charts=21)
        self.assertEqual(page.evaluate("document.title"), "synthetic · Plumbline report")
        self.assertEqual(page.evaluate("document.querySelectorAll('main img, main script, header img').length"), 0)
        self.assertIn(HOSTILE, page.evaluate("document.getElementById('samples').textContent"))
        self.assertIn("no clear change on “no-secret”", page.evaluate("document.getElementById('verdict').textContent"))
        self.assertIn("training makes the desired outputs less likely", page.evaluate("document.getElementById('warnings').textContent"))
        for section in ("results", "samples", "training", "vectors", "compute", "run"):
            self.assertGreater(page.evaluate(f"document.querySelectorAll('#{section} .card').length"), 0, section)

    def test_the_story_is_told_at_the_top(self):
        page = self.open("finished", charts=21)
        rows = "[...document.querySelectorAll('.story')[0].querySelectorAll('tbody th')].map(t => t.textContent)"
        self.assertEqual(page.evaluate(rows), ["Start model", "Start + rule filter", "Start, constrained", "continued", "Trained", "Trained, constrained"])
        self.assertEqual(page.evaluate("[...document.querySelectorAll('.story')].map(s => s.querySelectorAll('.before-after > div').length)"), [3, 3, 3])
        self.assertEqual(page.evaluate("[...document.querySelectorAll('.story')].map(s => s.querySelectorAll('canvas').length)"), [1, 0, 1])
        self.assertIn("This run taught the norm “alignment” by examples", page.evaluate("document.querySelector('.story .says').textContent"))
        self.assertLess(page.evaluate("document.querySelector('.story').getBoundingClientRect().height"), 900)
        wide = "[...document.querySelectorAll('.glance .scroll')].filter(s => s.scrollWidth > s.clientWidth).length"
        self.assertEqual(page.evaluate(wide), 0, "a table of the first screen is cut")

    def test_every_chart_has_its_numbers(self):
        page = self.open("finished", charts=21)
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        page.evaluate("new Promise(done => setTimeout(() => done(true)))")
        self.assertEqual(page.evaluate("[...document.querySelectorAll('details')].filter(d => d.querySelectorAll('tbody tr').length < 2).length"), 0)

    def test_choices_work(self):
        page = self.open("finished", charts=21)
        shown = "document.querySelectorAll('#samples .card')[2].querySelectorAll('.sample').length"
        self.assertEqual(page.evaluate(shown), 4)
        page.evaluate("document.querySelectorAll('#samples .card')[2].querySelector('.more').click()")
        self.assertEqual(page.evaluate(shown), 8)
        for button in range(page.evaluate("document.querySelectorAll('.controls button').length")):
            page.evaluate(f"document.querySelectorAll('.controls button')[{button}].click()")
        self.assertEqual(page.errors, [])
        self.assertEqual(page.evaluate(BLANK), [])

    def test_dark_and_narrow(self):
        self.open("finished", charts=21, dark=True)
        self.open("finished", charts=21, width=390, height=844, phone=True)

    def test_running_and_bare_runs_say_what_is_missing(self):
        page = self.open("running", charts=11)
        self.assertIn("no final evaluation yet", page.evaluate("document.getElementById('verdict').textContent"))
        self.assertIn("evaluation/summary.json", page.evaluate("document.getElementById('missing').textContent"))
        self.open("bare", charts=0)


if __name__ == "__main__":
    if find_chromium() is None:
        print("SKIPPED: no Chromium was found (Debian: chromium; or name it in $CHROMIUM)")
        sys.exit(77)
    ReportPage.screenshots = "--screenshots" in sys.argv
    ReportPage.program = sys.argv[1]
    ReportPage.folder = pathlib.Path(sys.argv[2])
    unittest.main(argv=sys.argv[:1])
