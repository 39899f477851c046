import subprocess
import sys
from pathlib import Path

import pytest

from moe_lab.config import load
from moe_lab.errors import ArtefactError
from moe_lab.store import StoredRun, is_finished

from .conftest import new_run, train_to


def test_a_run_is_read_while_it_is_written(runs: Path) -> None:
    with new_run(runs) as run:
        train_to(run, start=1, stop=3)
        stored = StoredRun(run.directory)
        assert stored.is_alive
        assert stored.summary is None
        assert stored.table("cv")["cv"].tolist() == [1 / 3, 2 / 3, 1.0]
    assert not stored.is_alive
    assert not is_finished(run.directory)


def test_reading_writes_nothing(runs: Path) -> None:
    with new_run(runs) as run:
        train_to(run, start=1, stop=2)
        run.event("start")
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*")}
    stored = StoredRun(runs / "x")
    _ = (stored.record, stored.status, stored.summary, stored.events, stored.table("steps"))
    _ = (stored.is_alive, stored.is_finished)
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("*")} == before


def test_a_run_is_named_after_its_folder(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new_run(runs).close()
    monkeypatch.chdir(runs / "x")
    assert StoredRun(Path()).name == "x"


def test_a_run_can_be_moved(runs: Path) -> None:
    new_run(runs).close()
    (runs / "x").rename(runs / "y")
    assert StoredRun(runs / "y").record["seed"] == 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "is not a moe-lab run: it has no run.json"),
        ("", "is not a moe-lab run: .* is corrupt"),
        ('{"seed": 1}', "no schema version"),
        ('{"schema": 9}', "reads up to 2"),
    ],
)
def test_a_foreign_or_damaged_record_is_refused(
    runs: Path, content: str | None, reason: str
) -> None:
    new_run(runs).close()
    record = runs / "x/run.json"
    record.unlink()
    if content is not None:
        record.write_text(content)
    with pytest.raises(ArtefactError, match=reason):
        StoredRun(runs / "x")


def test_settings_are_nested_as_in_the_config_file(runs: Path) -> None:
    new_run(runs, resolved="name: x\nmoe:\n  alpha: 0.5\n").close()
    settings = StoredRun(runs / "x").config
    assert settings["name"] == "x"
    assert settings["moe"]["alpha"] == 0.5
    assert settings["moe"]["top_k"] == 1  # the default


def test_settings_read_the_same_from_run_json_as_from_the_config_file(runs: Path) -> None:
    text = "name: x\nmodel: {moe_layers: [1]}\nmoe: {extra: [{weight: 1.0, name: router_z}]}\n"
    new_run(runs, resolved=text).close()
    written = load(runs / "x/resolved.yaml").config.model_dump(mode="json")
    new_run(runs, resolved="", record={"seed": 3, "config": written}).close()
    found = StoredRun(runs / "x-2").config
    assert found == StoredRun(runs / "x").config
    assert str(found) == str(StoredRun(runs / "x").config)  # in the same order
    assert found["model"]["moe_layers"] == (1,)


@pytest.mark.parametrize(
    "content", ["extends: ../secret.yaml", '{name: x, "\\u0065xtends": "/etc/passwd"}']
)
def test_a_stored_config_reads_no_other_file(runs: Path, content: str) -> None:
    new_run(runs, resolved=content).close()
    with pytest.raises(
        ArtefactError, match=r"resolved\.yaml is no run's config: it extends another"
    ):
        _ = StoredRun(runs / "x").config


def test_a_linked_config_is_refused(runs: Path) -> None:
    new_run(runs).close()
    (runs / "x/resolved.yaml").unlink()
    (runs / "x/resolved.yaml").symlink_to("/etc/passwd")
    with pytest.raises(ArtefactError, match="not a plain file"):
        _ = StoredRun(runs / "x").config


@pytest.mark.parametrize("content", ["", "moe: {alpha: often}", "\0"])
def test_a_damaged_config_is_refused(runs: Path, content: str) -> None:
    new_run(runs).close()
    (runs / "x/resolved.yaml").write_text(content)
    with pytest.raises(ArtefactError, match=r"resolved\.yaml is no run's config"):
        _ = StoredRun(runs / "x").config


def test_a_missing_or_linked_table_is_refused(runs: Path) -> None:
    new_run(runs).close()
    with pytest.raises(ArtefactError, match=r"eval\.csv: No such file"):
        StoredRun(runs / "x").table("eval")
    (runs / "x/eval.csv").symlink_to("/etc/hostname")
    with pytest.raises(ArtefactError, match="not a plain file"):
        StoredRun(runs / "x").table("eval")


def test_the_store_needs_neither_torch_nor_pandas_to_start() -> None:
    check = "import sys, moe_lab.store; sys.exit(bool({'torch', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
