from pathlib import Path

import pytest
from conftest import Cli


@pytest.fixture(autouse=True)
def actions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A step of a job; the path of its summary."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    return tmp_path / "summary.md"


def annotations(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if line.startswith("::")]


def test_errors_of_a_config_are_annotated_where_they_are(cli: Cli, tmp_path: Path):
    path = tmp_path / "a,b.yaml"
    path.write_text("moe:\n  alpah: 1\n")
    done = cli("config", "check", path)
    assert done.exit_code == 2
    place = str(path).replace(",", "%2C")
    assert annotations(done.stderr) == [
        f"::error file={place},line=2,col=3::unknown config key 'moe.alpah'%0Adid you mean 'alpha'?"
    ]


def test_an_error_of_the_command_line_has_no_file(cli: Cli, finished: Path):
    assert annotations(cli("config", "check", "alpah=1").stderr)[0].startswith("::error::unknown")
    done = cli("check", finished, "--fail-on", "cv > 10%")
    assert annotations(done.stderr) == ["::error::expected the end of the rule; got '%25'"]


def test_ten_annotations_at_most(cli: Cli, tmp_path: Path):
    (tmp_path / "a.yaml").write_text("".join(f"wrong_{i}: 1\n" for i in range(12)))
    found = annotations(cli("config", "check", tmp_path / "a.yaml").stderr)
    assert len(found) == 10
    assert found[-1] == "::error::... and 3 more"


def test_nothing_is_annotated_elsewhere(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert annotations(cli("config", "check", "alpah=1").stderr) == []


def test_only_configs_are_annotated(cli: Cli, tmp_path: Path):
    assert annotations(cli("report", tmp_path).stderr) == []


def test_reports_and_gates_are_added_to_the_summary(cli: Cli, finished: Path, actions: Path):
    actions.write_text("before\n")
    assert cli("report", finished, "--json").exit_code == 0
    assert cli("check", finished, "--fail-on", "cv > 1000").exit_code == 0
    text = actions.read_text()
    assert text.startswith("before\n### small: ")
    assert f"### gate passed: {finished} (finished)\n" in text
    assert r"| cv \> 1000 | " in text


def test_a_summary_is_cut_to_whole_lines_under_64_kb(
    cli: Cli, finished: Path, actions: Path, tmp_path: Path
):
    (tmp_path / "many").mkdir()
    links = [tmp_path / "many" / f"{'x' * 100}{i:02d}" for i in range(30)]
    for link in links:
        link.symlink_to(finished)
    assert cli("report", *links).exit_code == 0
    first = actions.read_bytes()
    rules = [word for i in range(3000) for word in ("--fail-on", f"cv > {i + 1000}")]
    assert cli("check", finished, *rules).exit_code == 0
    added = actions.read_bytes()[len(first) :]
    assert 60_000 < len(added) < 64_001
    assert added.endswith(b"... cut; `moe-lab report` has the rest\n")


def test_a_summary_that_cannot_be_written_is_a_warning(
    cli: Cli, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    done = cli("report", finished)
    assert done.exit_code == 0
    assert done.stderr == f"warning: cannot write the job summary {tmp_path}: Is a directory\n"
