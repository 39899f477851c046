"""Every artefact of a run, damaged: what is damaged is found before it is used, and never shows a traceback."""

import itertools
import os
import shutil
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from moe_lab.errors import ArtefactError, ConfigError
from moe_lab.report import gate, listing, pages, render, rules
from moe_lab.report.summary import summarize_all
from moe_lab.store import layout
from moe_lab.store.disk import DISK

from . import damages, workload
from .conftest import Tally, scale
from .damages import Damage, Files
from .sampling import sample

# What no checkpoint vouches for. None of it decides how a run goes on: a session compares the settings of
# resolved.yaml with run.json's, which has a seal; arrays have a checksum of their own.
UNCOUNTED = ("config.yaml", "resolved.yaml", "status.json", "events.jsonl", "router", ".lock")
NOW = datetime(2030, 1, 1, tzinfo=UTC)
STOP = 7  # the step after which the run to be damaged was killed: a row beyond its last checkpoint


def killed(runs: Path, stop: int) -> None:
    """A run without its end, as after a kill: rows, and no word in status.json."""
    with workload.begin(runs, DISK) as run:
        weight = workload.START
        for step in range(1, stop + 1):
            weight = workload.do_step(run, weight, step)
            if step % workload.EVERY == 0:
                run.commit(workload.state_at(step, weight), keep=2)


@pytest.fixture
def stopped_files(memory: Path) -> Files:
    killed(memory / "stopped", STOP)
    return damages.read(memory / "stopped")


@pytest.fixture
def earlier_files(memory: Path) -> Files:
    killed(memory / "earlier", STOP - 3)
    return damages.read(memory / "earlier")


@pytest.fixture
def golden(memory: Path) -> Files:
    workload.drive(memory / "golden")
    return workload.contents(memory / "golden")


Resumed = Callable[[Iterable[Damage]], tuple[int, list[str]]]


@pytest.fixture
def resumed(memory: Path, stopped_files: Files, golden: Files) -> Resumed:
    """Goes on with the run after each damage: how many were tried, and what was wrong after which."""

    def bad(damage: Damage) -> str | None:
        runs = memory / "damaged"
        damages.write(runs, stopped_files | damage.files)
        try:
            workload.drive(runs)
        except ArtefactError as error:
            return None if str(runs) in str(error) else f"no file is named: {error}"
        except Exception as error:
            return repr(error)
        finally:
            found = workload.contents(runs)
            shutil.rmtree(runs)
        harmless = {n for n, data in damage.files.items() if data + b"\n" == stopped_files[n]}
        differ = set(workload.differences(found, golden)) - harmless  # JSON without its newline
        wrong = sorted(name for name in differ if not may_differ(name, damage))
        return f"other contents: {wrong}" if wrong else None

    return lambda tried: judged(bad, tried)


def judged(bad: Callable[[Damage], str | None], tried: Iterable[Damage]) -> tuple[int, list[str]]:
    count, wrong = 0, []
    for damage in tried:
        count += 1
        if found := bad(damage):
            wrong.append(f"{damage.what}: {found}")
    return count, wrong


def may_differ(name: str, damage: Damage) -> bool:
    """A damaged file that nothing goes on with; and damaged rows, kept because they came out otherwise."""
    part = name.split("/")[1]
    tables = any(damaged.endswith(".csv") for damaged in damage.files)
    return (name in damage.files and part in UNCOUNTED) or (tables and part == layout.TAILS)


def test_a_flipped_bit_is_never_gone_on_with(
    resumed: Resumed, stopped_files: Files, tally: Tally
) -> None:
    tried, bad = resumed(damages.flips(stopped_files, scale(100, 1200)))
    tally("bit flips", tried, len(bad))
    assert not bad, bad[:5]


def test_a_truncated_file_is_never_gone_on_with(
    resumed: Resumed, stopped_files: Files, tally: Tally
) -> None:
    every = list(damages.truncations(stopped_files))
    tried, bad = resumed(sample(every, scale(100, -1)))
    tally("truncations, every length", tried, len(bad))
    assert not bad, bad[:5]


def test_no_other_damage_is_gone_on_with(
    resumed: Resumed, stopped_files: Files, earlier_files: Files, tally: Tally
) -> None:
    every = list(damages.others(stopped_files, earlier_files))
    tried, bad = resumed(sample(every, scale(80, -1)))
    tally("other damage", tried, len(bad))
    assert not bad, bad[:5]


def test_a_committed_row_that_was_changed_is_found(
    resumed: Resumed, stopped_files: Files, tally: Tally
) -> None:
    """A digit for a digit parses: only the hash of the rows can tell."""
    name = f"{workload.NAME}/steps.csv"
    data = stopped_files[name]
    digit = data.index(b"\n1,") + 3
    changed = data[:digit] + (b"1" if data[digit : digit + 1] != b"1" else b"2") + data[digit + 1 :]
    tried, bad = resumed([Damage("a digit", {name: changed})])
    tally("other damage", tried, len(bad))
    assert not bad


# Reading


def readers(run: Path) -> None:
    """All that reads a run: ls, check, and report in its four forms."""
    render.markdown(listing.parts(listing.entries(run.parent), NOW))
    gate.check(run, [rules.parse("cv > 0.5"), rules.parse("collapse")])
    (summary,) = summarize_all([run])
    render.markdown(pages.one(summary))


Read = Callable[[Iterable[Damage]], tuple[int, list[str]]]


@pytest.fixture
def read_after(memory: Path, finished: Path) -> Read:
    """Reads a trained run after each damage: how many were tried, and which escaped as no named error."""
    run = shutil.copytree(finished, memory / "runs" / "small")
    whole = damages.read(run)

    def bad(damage: Damage) -> str | None:
        damages.write(run, damage.files)
        try:
            readers(run)
        except (ArtefactError, ConfigError):
            return None
        except Exception as error:
            return repr(error)
        finally:
            damages.write(run, {name: whole[name] for name in damage.files})
        return None

    return lambda tried: judged(bad, tried)


def shown_files(finished: Path) -> Files:
    """What a report reads: no checkpoints and no log."""
    files = damages.read(finished)
    return {name: data for name, data in files.items() if not name.startswith(layout.CHECKPOINTS)}


def test_a_flipped_bit_never_shows_a_traceback(
    read_after: Read, finished: Path, tally: Tally
) -> None:
    tried, bad = read_after(damages.flips(shown_files(finished), scale(12, 600)))
    tally("bit flips", tried, len(bad))
    assert not bad, bad[:5]


def test_a_truncated_file_never_shows_a_traceback(
    read_after: Read, finished: Path, tally: Tally
) -> None:
    every = list(damages.truncations(shown_files(finished)))
    tried, bad = read_after(sample(every, scale(12, 600)))
    tally("truncations, every length", tried, len(bad))
    assert not bad, bad[:5]


def test_no_other_damage_shows_a_traceback(read_after: Read, finished: Path, tally: Tally) -> None:
    every = list(damages.others(shown_files(finished), {}))
    tried, bad = read_after(sample(every, scale(12, -1)))
    tally("other damage", tried, len(bad))
    assert not bad, bad[:5]


def as_folder(path: Path) -> None:
    path.mkdir()


def as_link(path: Path) -> None:
    path.symlink_to("/dev/zero")


def as_fifo(path: Path) -> None:
    os.mkfifo(path)


def missing(path: Path) -> None:
    """Nothing there."""


def test_a_file_that_is_none_is_refused_or_done_without(
    finished: Path, tmp_path: Path, tally: Tally
) -> None:
    names, bad = sorted(path.name for path in finished.iterdir() if path.is_file()), []
    ways = (as_folder, as_link, as_fifo, missing)
    tried = sample(list(itertools.product(names, ways)), scale(12, -1))
    for name, way in tried:
        run = shutil.copytree(finished, tmp_path / f"{name}-{way.__name__}" / "small")
        (run / name).unlink()
        way(run / name)
        try:
            readers(run)
        except (ArtefactError, ConfigError):
            pass
        except Exception as error:
            bad.append(f"{name} {way.__name__}: {error!r}")
        shutil.rmtree(run)
    tally("other damage", len(tried), len(bad))
    assert not bad, bad[:5]
