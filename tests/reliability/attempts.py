"""Many commands in one process of its own: how each ends, what it prints, and whether it leaves anything behind."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

SLOW = ("torch", "pandas", "scipy")  # packages that no refusal may import
LIMIT = 120  # seconds for all of them, after which one hangs


class Attempt(NamedTuple):
    """What came of one command."""

    arguments: list[str]
    exit_code: int
    stdout: str
    stderr: str
    changes: list[str]  # of the file system
    imported: list[str]  # of SLOW, up to here

    @property
    def wrong(self) -> str | None:
        """Why this is no proper refusal."""
        if self.exit_code != 2 or self.stdout or self.imported or self.changes:
            return str(self._replace(stderr=self.stderr[-200:]))
        known = self.stderr.startswith(("error: ", "Usage: ")) and "Traceback" not in self.stderr
        return None if known else self.stderr[:200]


def attempts(folder: Path, commands: Sequence[Sequence[str]]) -> list[Attempt]:
    """Each command tried in the folder, one after the other, all in one process."""
    environment = {**os.environ, "COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps(commands),
        stdout=subprocess.PIPE,
        cwd=folder,
        env=environment,
        text=True,
        timeout=LIMIT,
        check=True,
    )
    return [Attempt(*each) for each in json.loads(done.stdout)]


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of every small plain file."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.lstat().st_size < 10_000_000
    }


CHANGES = ("mkdir", "rename", "link", "symlink", "remove", "rmdir", "truncate", "chmod", "utime")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def _watched(changes: list[str]) -> None:
    """From now on every change of a file system by this process is noted."""

    def hook(event: str, arguments: Any) -> None:
        writes = event == "open" and arguments[2] & WRITING
        if writes or (event.startswith("os.") and event[3:] in CHANGES):
            changes.append(f"{event} {arguments[0]}")

    sys.addaudithook(hook)


def _tried(commands: Sequence[list[str]]) -> Iterator[Attempt]:
    import typer

    from moe_lab.cli import app

    command = typer.main.get_command(app)  # 5 ms, which app() takes each time
    changes: list[str] = []
    _watched(changes)
    for arguments in commands:
        changes.clear()
        out, err, code = StringIO(), StringIO(), 0
        with redirect_stdout(out), redirect_stderr(err):
            try:
                command(arguments, prog_name="moe-lab")
            except SystemExit as end:
                code = int(end.code or 0)
        imported = [name for name in SLOW if name in sys.modules]
        yield Attempt(arguments, code, out.getvalue(), err.getvalue(), [*changes], imported)


if __name__ == "__main__":
    print(json.dumps(list(_tried(json.load(sys.stdin)))))
