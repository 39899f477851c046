"""Reads prepared runs, each in a process of its own that is watched, and prints what it did as lines of JSON.

A process of its own, because an audit hook stays. `python -m reliability.hostile_server GOOD < COMMANDS`, each a line
of JSON, [folder, argument, …]; GOOD is a run that is read first, so that all is imported and nothing needs to be.
"""

import contextlib
import io
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from moe_lab.cli import app

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FORBIDDEN = (
    *("exec", "compile", "import", "ctypes.", "socket.", "subprocess.", "pickle.", "marshal."),
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.remove", "os.rename"),
    *("os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.truncate"),
    *("os.kill", "shutil.", "tempfile.", "urllib.", "webbrowser."),
)


class Watch:
    """Keeps what a process does that no reading of a run should need."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.on = False
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        writes = event == "open" and arguments[2] & WRITING
        if writes or event.startswith(FORBIDDEN):
            self.seen.append(f"{event} {str(arguments)[:200]}")


def call(arguments: list[str]) -> tuple[int, str, str]:
    """The exit code, stdout and stderr of a command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = app(arguments, standalone_mode=False)
        except SystemExit as error:
            code = error.code
        except Exception as error:
            return 1, out.getvalue(), repr(error)
    return int(code or 0), out.getvalue(), err.getvalue()


def watched(watch: Watch, arguments: list[str]) -> dict[str, Any]:
    """What a command did in this process, which is its own."""
    watch.on = True
    code, out, err = call(arguments)
    watch.on = False
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_mb = peak / (1e6 if sys.platform == "darwin" else 1e3)
    return {"code": code, "out": out, "err": err, "seen": watch.seen, "peak_mb": peak_mb}


def forked(watch: Watch, folder: str, arguments: list[str]) -> str:
    """The same as JSON, from a process that stands in a folder."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.chdir(folder)
        data = json.dumps(watched(watch, arguments)).encode()
        with os.fdopen(writer, "wb") as file:
            file.write(data)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        data = file.read()
    os.wait()
    return data.decode() or json.dumps(
        {"code": -1, "out": "", "err": "died", "seen": [], "peak_mb": 0}
    )


def main(good: str) -> None:
    """Reads commands to the end of the input."""
    for arguments in (
        *(["report", good, "--format", form] for form in ("table", "md", "csv", "json")),
        ["report", good, good],
        ["ls", str(Path(good).parent)],
        ["check", good, "--fail-on", "cv > 9"],
        ["report", "nowhere"],
    ):
        call(arguments)
    watch = Watch()
    for line in sys.stdin:
        folder, *arguments = json.loads(line)
        print(forked(watch, folder, arguments), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
