import json
from pathlib import Path

import pytest
from conftest import Cli, MakeSweep
from pydantic import ValidationError

from moe_lab.errors import ArtefactError, StorageError
from moe_lab.store import layout
from moe_lab.store.attempts import Attempts
from moe_lab.store.disk import Disk
from moe_lab.store.system import System

RUN = "alpha-0-s1"


def test_numbers_rise_by_run_over_drivers(tmp_path: Path) -> None:
    first = Attempts(tmp_path)
    assert (first.number(RUN), first.job(RUN)) == (0, None)
    assert [first.begin(RUN), first.begin(RUN), first.begin("other")] == [1, 2, 1]
    second = Attempts(tmp_path)  # of a later driver
    assert second.number(RUN) == 2
    assert second.begin(RUN) == 3
    assert first.number("other") == 1


def test_a_job_is_that_of_the_last_attempt(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path)
    attempts.begin(RUN)
    attempts.note_job(RUN, "4711_[0-3]")
    assert (attempts.number(RUN), Attempts(tmp_path).job(RUN)) == (1, "4711_[0-3]")
    attempts.begin(RUN)
    assert attempts.job(RUN) is None
    assert (tmp_path / ".attempts" / f"{RUN}.json").stat().st_mode & 0o777 == 0o600


class Unplugged(System):
    """The disk goes before the file would get its name."""

    def rename(self, old: Path, new: Path) -> None:
        raise OSError(5, "Input/output error")


def test_a_number_that_is_not_stored_is_not_given_out(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Input/output error"):
        Attempts(tmp_path, Disk(Unplugged())).begin(RUN)
    assert Attempts(tmp_path).begin(RUN) == 1


class Synced(System):
    """Keeps what was done, in its order."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        self.done.append("sync")

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        self.done.append("rename")


def test_a_number_is_durable_when_it_is_given_out(tmp_path: Path) -> None:
    Attempts(tmp_path).begin(RUN)
    system = Synced()
    Attempts(tmp_path, Disk(system)).begin(RUN)
    assert system.done == ["sync", "rename", "sync"]  # the file, its name, the names of the folder


DAMAGES = {
    "torn": '{"schema": 2, "att',
    "no schema": '{"attempt": 1, "job": null}',
    "from later": '{"schema": 99, "attempt": 1, "job": null}',
    "zero": '{"schema": 2, "attempt": 0, "job": null}',
    "no number": '{"schema": 2, "attempt": true, "job": null}',
    "huge": '{"schema": 2, "attempt": ' + "9" * 21 + ', "job": null}',
    "without job": '{"schema": 2, "attempt": 1}',
    "an option": '{"schema": 2, "attempt": 1, "job": "--all"}',
    "two lines": '{"schema": 2, "attempt": 1, "job": "1\\n"}',
    "long": json.dumps({"schema": 2, "attempt": 1, "job": "1" * 201}),
    "a list": "[1]",
}


@pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_record_is_named_and_left_as_it_is(content: str, tmp_path: Path) -> None:
    attempts = Attempts(tmp_path)
    attempts.begin(RUN)
    path = layout.attempt(tmp_path, RUN)
    path.write_text(content)
    for call in (attempts.number, attempts.job, attempts.begin):
        with pytest.raises(ArtefactError) as caught:
            call(RUN)
        assert str(path) in str(caught.value)
    assert path.read_text() == content


def test_a_record_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path) -> None:
    path = layout.attempt(tmp_path, RUN)
    path.mkdir(parents=True)
    with pytest.raises(ArtefactError, match="is not a plain file"):
        Attempts(tmp_path).begin(RUN)
    path.rmdir()
    path.symlink_to(tmp_path / "outside")
    with pytest.raises(ArtefactError, match="is not a plain file"):
        Attempts(tmp_path).begin(RUN)


@pytest.mark.parametrize("job", ["", "-1", "a b", "1\n", "1" * 201])
def test_what_would_not_read_back_is_not_stored(job: str, tmp_path: Path) -> None:
    attempts = Attempts(tmp_path)
    attempts.begin(RUN)
    with pytest.raises(ValidationError):
        attempts.note_job(RUN, job)
    assert attempts.job(RUN) is None


def test_no_reader_takes_the_records_for_a_run(make_sweep: MakeSweep, cli: Cli) -> None:
    sweep = make_sweep([{"moe.alpha": 0.0}, {"moe.alpha": 0.1}])

    def read() -> list[tuple[int, str]]:
        calls = (("report",), ("ls",), ("watch", "--once"), ("check", "--fail-on", "collapse"))
        done = [cli(command, sweep.directory, *options) for command, *options in calls]
        return [(each.exit_code, each.output) for each in done]

    before = read()
    for run in sweep.runs():
        Attempts(sweep.directory).begin(run.name)
    assert read() == before
