"""Every snippet that is shown with its output is run, and prints what stands below it."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("page", "outputs"), [("docs/doors.md", 8), ("README.md", 1)])
def test_every_snippet_prints_what_stands_below_it(page: str, outputs: int):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert runpy.run_path(str(ROOT / "docs" / "snippets.py"))["rendered"](text) == text, "make docs"
    assert text.count("<!-- output -->") == outputs


def test_every_snippet_of_the_doors_has_its_output():
    text = (ROOT / "docs" / "doors.md").read_text(encoding="utf-8")
    assert text.count("```python\n") == text.count("<!-- output -->")
