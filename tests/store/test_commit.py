import hashlib
import json
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moe_lab.errors import ArtefactError, StorageError
from moe_lab.store import State, layout
from moe_lab.store.commit import (
    clear_leftovers,
    from_bytes,
    newest_commit,
    to_bytes,
    write_commit,
)
from moe_lab.store.disk import DISK
from moe_lab.store.prefix import Prefix
from moe_lab.store.seal import sealed

from .conftest import read, state_at

FILES = (layout.MODEL, layout.OPTIMIZER, layout.STATE, layout.COMMIT)


def commits(directory: Path, *steps: int, keep: int = 9) -> Path:
    """Checkpoints of a run whose only table has ten bytes a step."""
    directory.mkdir(exist_ok=True)
    with (directory / "steps.csv").open("ab") as table:
        table.write(b"." * (10 * max(steps) - table.tell()))
    for step in steps:
        rows = Prefix().plus(b"." * 10 * step)
        write_commit(DISK, directory, state_at(step), {"steps": rows}, keep=keep)
    return directory


def reseal(folder: Path, **changes: Any) -> None:
    """Forge a commit: what it says is changed, and its seal is right."""
    commit = {**read(folder / layout.COMMIT), **changes}
    commit.pop("sha256")
    (folder / layout.COMMIT).write_text(json.dumps(sealed(commit)))


def kept(directory: Path) -> list[str]:
    return sorted(entry.name for entry in (directory / layout.CHECKPOINTS).iterdir())


def flip_bit(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """The system refuses to let a file grow beyond it: what a full disk does, without one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_commit_reads_back_with_shapes_types_and_tables(tmp_path: Path) -> None:
    model = {
        "scalar": np.array(0.1),
        "empty": np.zeros((0, 3), np.float32),
        "transposed": np.arange(6, dtype=np.int64).reshape(2, 3).T,
        "flags": np.array([True, False]),
    }
    state = State(step=7, model=model, optimizer={}, extra={"lr": 0.1, "none": None, "of": [1]})
    (tmp_path / "steps.csv").write_bytes(b"step\n1\n2\n")
    (tmp_path / "cv.csv").write_bytes(b"step,cv\n")
    rows = {"steps": Prefix().plus(b"step\n").plus(b"1\n"), "cv": Prefix().plus(b"step,cv\n")}
    write_commit(DISK, tmp_path, state, rows, keep=2)
    assert read(layout.checkpoint(tmp_path, 7) / layout.COMMIT)["csv"]["steps"] == {
        "bytes": 7,
        "sha256": hashlib.sha256(b"step\n1\n").hexdigest(),
    }
    found = newest_commit(tmp_path)
    assert found.skipped == ()
    for name, prefix in rows.items():
        assert found.tables[name].length == prefix.length
        assert found.tables[name].plus(b"2\n").sha256 == prefix.plus(b"2\n").sha256
    assert (found.state.step, found.state.optimizer, found.state.extra) == (7, {}, state.extra)
    for name, array in model.items():
        np.testing.assert_array_equal(found.state.model[name], array, strict=True)
        assert found.state.model[name].flags.writeable


def test_the_same_state_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = commits(tmp_path / "a", 1), commits(tmp_path / "b", 1)
    for name in FILES:
        first, second = (layout.checkpoint(run, 1) / name for run in (one, two))
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_any_damage_falls_back_to_the_commit_before_and_says_so(tmp_path: Path, name: str) -> None:
    commits(tmp_path, 1, 2)
    path = layout.checkpoint(tmp_path, 2) / name
    original = path.read_bytes()
    n_bits = 8 * len(original)
    for bit in range(0, n_bits, max(1, n_bits // 100)):
        path.write_bytes(original)
        flip_bit(path, bit)
        found = newest_commit(tmp_path)
        assert found.state.step == 1
        assert len(found.skipped) == 1
        assert str(path) in found.skipped[0]
    for size in (0, 1, len(original) - 2):
        path.write_bytes(original[:size])
        assert newest_commit(tmp_path).state.step == 1
    path.unlink()
    assert newest_commit(tmp_path).state.step == 1


def test_a_changed_table_length_is_damage_too(tmp_path: Path) -> None:
    path = layout.checkpoint(commits(tmp_path, 1, 2), 2) / layout.COMMIT
    path.write_text(path.read_text().replace('"bytes": 20', '"bytes": 21'))
    assert newest_commit(tmp_path).state.step == 1


def test_a_row_that_was_changed_costs_the_commits_that_counted_it(tmp_path: Path) -> None:
    table = commits(tmp_path, 1, 2, 3) / "steps.csv"
    for byte, step in ((35, 3), (29, 2), (19, 1)):  # commits of 30, 20 and 10 bytes
        with table.open("r+b") as file:
            file.truncate(40)
            file.seek(byte)
            file.write(b"!")
        found = newest_commit(tmp_path)
        assert found.state.step == step
        assert [
            f"its first {n} bytes" in text for text, n in zip(found.skipped, (30, 20), strict=False)
        ] == [True] * (3 - step)


def test_a_table_that_is_short_or_gone_costs_the_commits_that_counted_more(tmp_path: Path) -> None:
    table = commits(tmp_path, 1, 2) / "steps.csv"
    os.truncate(table, 19)
    found = newest_commit(tmp_path)
    assert found.state.step == 1
    assert found.skipped == (f"{table} has 19 bytes; its checkpoint counted 20",)
    table.unlink()
    with pytest.raises(ArtefactError, match=r"cannot read .*steps\.csv"):
        newest_commit(tmp_path)


def test_a_commit_of_schema_1_vouches_for_lengths_alone(tmp_path: Path) -> None:
    reseal(layout.checkpoint(commits(tmp_path, 2), 2), schema=1, csv={"steps": 20})
    (tmp_path / "steps.csv").write_bytes(b"!" * 25)
    found = newest_commit(tmp_path).tables["steps"]
    assert (found.length, found.sha256) == (20, hashlib.sha256(b"!" * 20).hexdigest())


@pytest.mark.parametrize(
    "changes",
    [
        {"csv": {"../steps": 20}},
        {"csv": {"steps": {}}},
        {"csv": {"steps": None}},
        {"csv": []},
        {"csv": {"steps": {"bytes": "20", "sha256": ""}}},
        {"files": {}},
    ],
)
def test_a_forged_commit_is_damage_too(tmp_path: Path, changes: dict[str, Any]) -> None:
    reseal(layout.checkpoint(commits(tmp_path, 1, 2), 2), **changes)
    found = newest_commit(tmp_path)
    assert found.state.step == 1
    assert "step-00000002 was not written by moe-lab" in found.skipped[0]


def test_the_newest_is_that_of_the_highest_step_whenever_it_was_written(tmp_path: Path) -> None:
    commits(tmp_path, 1, 2, 3)
    for step, time in ((1, 3e9), (2, 2e9), (3, 1e9)):
        os.utime(layout.checkpoint(tmp_path, step), (time, time))
    assert newest_commit(tmp_path).state.step == 3


def test_exchanged_checkpoints_are_damage_too(tmp_path: Path) -> None:
    one, two = (layout.checkpoint(commits(tmp_path, 1, 2), step) for step in (1, 2))
    one.rename(tmp_path / "aside")
    two.rename(one)
    (tmp_path / "aside").rename(two)
    with pytest.raises(ArtefactError, match="the folder was renamed"):
        newest_commit(tmp_path)


def test_without_an_intact_commit_each_is_named(tmp_path: Path) -> None:
    commits(tmp_path, 1, 2)
    flip_bit(layout.checkpoint(tmp_path, 1) / layout.MODEL, 0)
    (layout.checkpoint(tmp_path, 2) / layout.STATE).unlink()
    with pytest.raises(ArtefactError, match="no intact checkpoint") as caught:
        newest_commit(tmp_path)
    assert "step-00000001/model.safetensors: SHA-256 differs" in str(caught.value)
    assert "step-00000002/state.json: No such file" in str(caught.value)
    assert caught.value.exit_code == 5


def test_only_the_last_are_kept(tmp_path: Path) -> None:
    commits(tmp_path, 0, 5, 10, 100_000_000, keep=2)
    assert kept(tmp_path) == ["step-00000010", "step-100000000"]
    assert newest_commit(tmp_path).state.step == 100_000_000


def test_a_damaged_later_commit_does_not_push_out_good_ones(tmp_path: Path) -> None:
    commits(tmp_path, 2, 4, 8)
    flip_bit(layout.checkpoint(tmp_path, 8) / layout.MODEL, 0)
    commits(tmp_path, 6, keep=2)
    assert kept(tmp_path) == ["step-00000004", "step-00000006", "step-00000008"]
    assert newest_commit(tmp_path).state.step == 6


def test_a_step_committed_again_replaces_the_damaged_one(tmp_path: Path) -> None:
    commits(tmp_path, 2, 4)
    flip_bit(layout.checkpoint(tmp_path, 4) / layout.MODEL, 0)
    commits(tmp_path, 4)
    assert kept(tmp_path) == ["step-00000002", "step-00000004"]
    assert newest_commit(tmp_path).skipped == ()


def test_a_kill_between_the_two_renames_loses_nothing(tmp_path: Path) -> None:
    only = layout.checkpoint(commits(tmp_path, 4), 4)
    shutil.copytree(only, only.with_name(".staging-abc"))
    only.rename(only.with_name(".replaced-step-00000004"))
    clear_leftovers(DISK, tmp_path)
    assert kept(tmp_path) == ["step-00000004"]
    assert newest_commit(tmp_path).state.step == 4


def test_a_kill_before_the_replaced_one_is_deleted_leaves_the_new_one(tmp_path: Path) -> None:
    only = layout.checkpoint(commits(tmp_path, 4), 4)
    shutil.copytree(only, only.with_name(".replaced-step-00000004"))
    clear_leftovers(DISK, tmp_path)
    assert kept(tmp_path) == ["step-00000004"]


def test_links_and_foreign_names_are_neither_read_nor_deleted(tmp_path: Path) -> None:
    run = commits(tmp_path / "run", 2)
    outside = layout.checkpoint(commits(tmp_path / "other", 1), 1)
    (run / layout.CHECKPOINTS / "step-00000001").symlink_to(outside)
    (run / layout.CHECKPOINTS / "step-1-mine").mkdir()
    commits(run, 3, keep=1)
    assert kept(run) == ["step-00000001", "step-00000003", "step-1-mine"]
    assert sorted(entry.name for entry in outside.iterdir()) == sorted(FILES)


def test_clearing_leftovers_follows_no_link(tmp_path: Path) -> None:
    outside = layout.checkpoint(commits(tmp_path / "other", 1), 1)
    run = commits(tmp_path / "run", 2)
    (run / layout.CHECKPOINTS / ".staging-x").symlink_to(outside)
    clear_leftovers(DISK, run)
    assert kept(run) == ["step-00000002"]
    assert sorted(entry.name for entry in outside.iterdir()) == sorted(FILES)


def test_a_state_that_cannot_be_stored_leaves_no_trace(tmp_path: Path) -> None:
    commits(tmp_path, 1)
    with pytest.raises(TypeError):
        write_commit(DISK, tmp_path, replace(state_at(2), extra={"a": object()}), {}, keep=1)
    assert kept(tmp_path) == ["step-00000001"]


def test_a_disk_that_refuses_keeps_the_commit_before(tmp_path: Path) -> None:
    commits(tmp_path, 1)
    large = replace(state_at(2), model={"w": np.zeros(10_000)})
    with (
        file_size_limit(40_000),
        pytest.raises(StorageError, match=r"model\.safetensors: File too large") as caught,
    ):
        write_commit(DISK, tmp_path, large, {}, keep=1)
    assert "help: free space" in caught.value.render()
    assert kept(tmp_path) == ["step-00000001"]
    assert newest_commit(tmp_path).skipped == ()


def test_a_disk_that_alters_what_it_stores_costs_no_older_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits(tmp_path, 1)
    real = os.write

    def lying(descriptor: int, data: bytes) -> int:
        spoilt = bytearray(data)
        if b"router.weight" in spoilt:  # model.safetensors
            spoilt[-1] ^= 1
        return real(descriptor, spoilt)

    monkeypatch.setattr(os, "write", lying)
    with pytest.raises(ArtefactError, match="SHA-256"):
        write_commit(DISK, tmp_path, state_at(2), {}, keep=1)
    monkeypatch.undo()
    assert newest_commit(tmp_path).state.step == 1


def test_a_state_survives_the_way_to_another_rank(tmp_path: Path) -> None:
    sent = replace(state_at(7), extra={"evaluated": False})
    found = from_bytes(to_bytes(sent), tmp_path)
    assert (found.step, found.extra) == (7, {"evaluated": False})
    for name, array in sent.model.items():
        np.testing.assert_array_equal(found.model[name], array)
    assert found.optimizer.keys() == sent.optimizer.keys()
