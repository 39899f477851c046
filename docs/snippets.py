"""Runs the Python that a page shows, and puts what it prints below it.

An output stands between `<!-- output -->` and `<!-- end -->` after its snippet. Snippets are run in a folder whose
`runs/` has the sweep that the tests keep, after the `moe-lab export` commands of the page.
"""

import contextlib
import io
import re
import shlex
import shutil
import tempfile
from pathlib import Path

from typer.testing import CliRunner

from moe_lab.cli import app

RUNS = Path(__file__).parent.parent / "tests" / "reliability" / "frozen" / "schema-2"
SNIPPET = re.compile(r"(```python\n(.*?)```\n\n<!-- output -->\n).*?(<!-- end -->)", re.DOTALL)
COMMAND = re.compile(r"^moe-lab (export .*)$", re.MULTILINE)


def rendered(page: str) -> str:
    """The page with the outputs of now."""
    if not SNIPPET.search(page):
        return page
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        shutil.copytree(RUNS, "runs")
        for command in COMMAND.findall(page):
            done = CliRunner().invoke(app, shlex.split(command, comments=True))
            assert done.exit_code == 0, done.stderr
        return SNIPPET.sub(lambda m: f"{m[1]}\n```\n{_output(m[2])}```\n\n{m[3]}", page)


def _output(code: str) -> str:
    """What a snippet prints; every one begins with nothing imported."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "snippet", "exec"), {"__name__": "snippet"})  # noqa: S102  # our own page
    return "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines())
