"""`python -m tests.report_picture FILE`: the picture of docs/reports.md: zombie-delete's report at its first violation."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from cacher.reports import Document, report_of_run, write_page
from cacher.simulation import load_scenario, run_seed
from tests.browser import open_browser

HEIGHT = 1050


def take(path: Path) -> None:
    """Write the picture to `path`."""
    scenario = load_scenario("zombie-delete")
    reports = [
        report_of_run(
            run_seed(scenario, 1, variant, hunting=False, keep=True),
            replay=f"watchcache run zombie-delete --seed 1 --variant {variant}",
        )
        for variant in scenario.variants
    ]
    with tempfile.TemporaryDirectory() as directory, open_browser() as browser:
        page = Path(directory) / "report.html"
        page.write_text(write_page(Document("zombie-delete", reports)), encoding="utf-8")
        browser.open(page)
        browser.find(".first").click()
        browser.frame()
        browser.picture(path, height_max=HEIGHT)


if __name__ == "__main__":
    take(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reports.png"))
