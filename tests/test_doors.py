"""Every snippet of docs/doors.md is run, and prints what stands below it."""

import re
import runpy
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_every_snippet_prints_what_stands_below_it():
    page = (DOCS / "doors.md").read_text(encoding="utf-8")
    assert runpy.run_path(str(DOCS / "snippets.py"))["rendered"](page) == page, "run: make docs"
    assert len(re.findall("^```python", page, re.MULTILINE)) == page.count("<!-- output -->") == 8
