"""References of a run: found beside it, matched, and what they say of its loss."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import Cli, earlier, edit, small
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.report.outcomes import glances
from moe_lab.report.references import Reference, References, efficiency, found_in
from moe_lab.report.summary import summarize_all


def test_efficiency_is_the_share_of_the_way_from_one_expert_to_the_true_domains():
    # (.270 - .200) / (.270 - .048) = .3153
    references = {"single": 0.270, "domain": 0.048, "token_hash": 0.168}
    assert efficiency(0.200, references) == pytest.approx(0.3153, abs=1e-4)
    assert efficiency(0.270, references) == 0  # total collapse
    assert efficiency(0.048, references) == 1
    assert efficiency(0.321, references) == pytest.approx(-0.2297, abs=1e-4)  # worse than collapse


def test_without_both_ends_or_where_domains_are_worth_nothing_there_is_none():
    assert efficiency(1.0, {"single": 2.0}) is None
    assert efficiency(1.0, {"domain": 0.5}) is None
    assert efficiency(1.0, {"single": 2.0, "domain": 2.0}) is None
    assert efficiency(1.0, {"single": 2.0, "domain": 2.1}) is None


@given(st.floats(0, 10), st.floats(0.01, 10), st.floats(0.01, 10))
def test_a_loss_between_the_two_reads_between_zero_and_one(domain, above, rest):
    found = efficiency(domain + above, {"domain": domain, "single": domain + above + rest})
    assert 0 <= found <= 1


def role(reference: str | None, gate: str, comparable: str, dense: str) -> dict[str, str | None]:
    return {
        "reference": reference,
        "gate": gate,
        "comparable": comparable,
        "comparable_dense": dense,
    }


def test_references_share_settings_and_gates_with_their_run_and_a_dense_one_has_no_gates():
    known = References(
        (
            Reference(role("single", "learned", "a", "d"), 2.0),
            Reference(role("domain", "learned", "a", "d"), 1.0),
            Reference(role("single", "one", "a", "d"), 8.0),
            Reference(role("single", "learned", "b", "d"), 9.0),
            Reference(role("dense", "learned", "b", "d"), 1.5),
            Reference(role("dense", "learned", "a", "e"), 7.0),
        )
    )
    mine = role(None, "learned", "a", "d")
    assert known.losses(mine) == {"single": 2.0, "domain": 1.0, "dense": 1.5}
    assert known.rho(mine, 1.25) == 0.75  # (2 - 1.25) / (2 - 1)
    assert known.rho(role(None, "one", "a", "d"), 1.25) is None
    assert known.rho(mine, None) is None  # not evaluated
    assert known.rho(None, 1.25) is None  # a monitor's


@pytest.fixture(scope="module")
def folder(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its references, and runs that are none of its."""
    runs = tmp_path_factory.mktemp("runs")
    settings = small("steps=3", "eval.every=3")
    one = "router={name: reference, assignment: single, gate: one}"
    for given_ in (
        ["name=mine", "--references"],
        ["name=gate-one", one],
        ["name=seed", "seed=1", one],
    ):
        done = cli("train", *settings, *given_, "--runs-dir", runs, "--progress", "none")
        assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{runs}/seed\n"
    (runs / "junk").mkdir()
    return runs


NAMES = {"domain", "map_domain", "token_hash", "round_robin", "random", "single", "dense"}


def test_references_are_trained_once_beside_their_run(folder, cli: Cli):
    assert {path.name for path in folder.glob("mine-ref-*")} == {f"mine-ref-{n}" for n in NAMES}
    settings = small("steps=3", "eval.every=3", "alpha=0.3")
    again = cli("train", *settings, "--references", "--runs-dir", folder, "--name", "second")
    assert again.stdout.splitlines() == [f"{folder}/second"]
    assert not list(folder.glob("second-ref-*"))  # those of `mine` serve


def test_a_run_is_compared_with_its_own_references_alone(folder):
    (mine,) = summarize_all([folder / "mine"])
    known = found_in(folder)
    assert len(known.runs) == len(NAMES) + 2
    for name in NAMES:
        (reference,) = summarize_all([folder / f"mine-ref-{name}"])
        assert mine["references"][name] == reference["loss"]["lm_loss"]
    assert mine["references"].keys() == NAMES
    assert mine["rho"] == efficiency(mine["loss"]["lm_loss"], mine["references"])
    (other,) = summarize_all([folder / "seed"])
    assert other["references"].keys() == {"single"}  # itself: of its seed and its gates


def test_references_of_an_earlier_version_are_read_from_their_tables(folder, tmp_path):
    runs = shutil.copytree(folder, tmp_path / "runs")
    for path in runs.glob("*/summary.json"):
        earlier(path.parent)
    assert found_in(runs) == found_in(folder)


def test_a_glance_has_the_efficiency_of_the_summary(folder, tmp_path):
    runs = shutil.copytree(folder, tmp_path / "runs")
    for name, loss in (
        ("single", 9.0),
        ("domain", 0.5),
    ):  # so short a training parts them by chance
        path = runs / f"mine-ref-{name}" / "summary.json"
        summary = json.loads(path.read_text())
        edit(path, outcomes={**summary["outcomes"], "lm_loss": loss})
    (mine,), (summary,) = glances([runs / "mine"]), summarize_all([runs / "mine"])
    assert mine.rho == summary["rho"] == (9 - mine.outcomes["lm_loss"]) / 8.5


def test_gates_must_match(folder):
    (gate_one,) = summarize_all([folder / "gate-one"])
    assert gate_one["references"].keys() == {"single", "dense"}
    assert gate_one["references"]["single"] == gate_one["loss"]["lm_loss"]
    known = found_in(folder)
    role = next(r.role for r in known.runs if r.role["reference"] == "domain")
    assert known.losses({**role, "gate": "sigmoid"}).keys() == {"dense"}


def test_the_report_ranks_references_and_places_the_run_between_them(folder, cli: Cli):
    said = cli("report", folder / "mine").stdout
    lines = said[said.index("lm_loss of references") :].splitlines()[2:10]
    losses_ = [float(line.split()[-2]) for line in lines]
    assert losses_ == sorted(losses_)
    assert {line.split("  ")[0].strip() for line in lines} == NAMES | {"this run"}
    assert " rho " in said


def test_a_dense_run_is_reported_without_layers(folder, cli: Cli):
    done = cli("report", folder / "mine-ref-dense")
    assert done.exit_code == 0, done.stderr
    assert "balance per layer" not in done.stdout
