import json
from math import fsum
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from conftest import TrainRun, rows

from moe_lab.errors import ArtefactError
from moe_lab.report.summary import summarize

HIGHEST_IS_WORST = ("cv", "max_violation", "collapse_index", "dead_experts", "gini")


@pytest.fixture(scope="module")
def found(finished: Path) -> dict[str, Any]:
    return summarize(finished)


def numbers(table: list[dict[str, str]], column: str) -> list[float]:
    return [float(row[column]) for row in table if row[column]]


def test_a_summary_is_json_without_nan(found: dict[str, Any]):
    json.dumps(found, allow_nan=False)


def test_the_state_and_the_steps(found: dict[str, Any], finished: Path):
    assert (found["name"], found["directory"]) == ("small", str(finished))
    assert (found["state"], found["step"], found["steps"]) == ("finished", 10, 10)
    assert found["verdict"] in ("balanced", "skewed")


def test_evidence_is_a_course_per_layer(found: dict[str, Any], finished: Path):
    for layer, course in enumerate(found["evidence"]):
        cv = rows(finished, "cv", layer=layer)
        trained = numbers([row for row in cv if row["split"] == "train"], "n_eff")
        assert course["start"] == float(cv[0]["n_eff"])
        assert course["lowest"] == min(trained)
        assert course["lowest_step"] == 1 + trained.index(min(trained))
        assert course["end"] == float(cv[-1]["n_eff"])
        assert course["sentence"].startswith(f"layer {layer} ")
    ends = [course["end"] for course in found["evidence"]]
    assert found["worst_layer"] == ends.index(min(ends))


def test_the_loss_is_the_last_evaluation_beside_the_ladder(found: dict[str, Any], finished: Path):
    last = rows(finished, "eval")[-1]
    loss = dict(found["loss"])
    ladder = loss.pop("ladder")
    assert loss == {name: float(cell) for name, cell in last.items()}
    assert ladder == json.loads((finished / "run.json").read_text())["data"]["ladder"]


def test_balance_is_the_last_evaluation_and_drops_are_those_of_training(train_run: TrainRun):
    run = train_run("steps=20", "eval.every=20", "capacity_factor=0.75")
    *layers, _, _ = summarize(run)["balance"]
    for layer, row in enumerate(layers):
        (last,) = rows(run, "cv", split="eval", step=20, layer=layer)
        for name in ("cv", "cv_floor", "n_eff", "entropy", "router_entropy", "margin"):
            assert row[name] == float(last[name])
        recent = numbers(rows(run, "cv", split="train", layer=layer)[-2:], "dropped")  # 10 % of 20
        assert row["dropped"] == pytest.approx(fsum(recent) / 2)
        assert row["dropped"] > 0


def test_mean_and_worst_are_over_layers(found: dict[str, Any]):
    *layers, mean, worst = found["balance"]
    assert [row["layer"] for row in found["balance"]] == [0, 1, "mean", "worst"]
    for name in HIGHEST_IS_WORST:
        assert mean[name] == pytest.approx(fsum(row[name] for row in layers) / 2)
        assert worst[name] == max(row[name] for row in layers)
    for name in ("n_eff", "entropy", "min_over_mean"):
        assert worst[name] == min(row[name] for row in layers)
    for name in ("cv_floor", "router_entropy", "margin", "router_ties"):
        assert mean[name] is not None
        assert worst[name] is None


def test_blank_columns_are_none_and_not_nan(train_run: TrainRun):
    found = summarize(train_run("steps=2", "n_experts=2", "top_k=2"))  # k = E
    for row in found["balance"]:
        assert row["collapse_index"] is None
        assert row["margin"] is None
    json.dumps(found, allow_nan=False)


def test_the_share_of_the_router_gradient_is_the_last_measured(
    found: dict[str, Any], finished: Path
):
    auxiliary = found["auxiliary"]
    assert (auxiliary["balance"], auxiliary["alpha"]) == ("switch", 0.01)
    assert auxiliary["router_grad_step"] == 10
    for layer, share in auxiliary["router_grad_share"].items():
        (row,) = rows(finished, "aux_loss", step=10, split="train", layer=layer)
        task, balance = float(row["grad_task"]), float(row["grad_balance"])
        assert share == pytest.approx(balance / (balance + task))
    last = rows(finished, "steps")[-1]
    share = float(last["aux_loss"]) / float(last["lm_loss"])  # 10 % of 10 steps
    assert auxiliary["aux_over_lm"] == pytest.approx(share)


def test_throughput_is_a_median(found: dict[str, Any], finished: Path):
    timing = rows(finished, "timing")
    for name in ("tokens_per_s", "step_ms"):
        assert found["throughput"][name] == pytest.approx(median(numbers(timing, name)))
    assert found["throughput"]["elapsed_s"] == float(timing[-1]["elapsed_s"])


def test_provenance_names_versions_seed_and_data(found: dict[str, Any], finished: Path):
    record = json.loads((finished / "run.json").read_text())
    for key in ("id", "created", "seed", "threads", "device", "versions", "host", "command"):
        assert found["provenance"][key] == record[key]
    assert found["provenance"]["data_fingerprint"] == record["data"]["fingerprint"]
    assert found["config"]["model"]["d_model"] == 16


def headers_only(run: Path) -> None:
    """As a run is found between its birth and its first row."""
    for path in run.glob("*.csv"):
        path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])


def test_a_run_without_a_row(stopped: Path):
    headers_only(stopped)
    found = summarize(stopped)
    assert (found["step"], found["verdict"], found["worst_layer"]) == (0, None, None)
    assert (found["evidence"], found["balance"], found["throughput"]) == ([], [], {})
    assert list(found["loss"]) == ["ladder"]
    json.dumps(found, allow_nan=False)


def test_a_run_with_its_first_evaluation_alone(stopped: Path):
    for path in stopped.glob("*.csv"):
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([lines[0], *(line for line in lines if line[:2] == b"0,")]))
    found = summarize(stopped)
    assert (found["step"], found["verdict"], found["worst_layer"] is None) == (0, None, False)
    assert [row["dropped"] for row in found["balance"]] == [None] * 4
    assert found["evidence"][0]["sentence"] == "layer 0: no training step yet"
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("cut", range(1, 80, 7))
def test_a_torn_run_is_read_to_its_last_whole_row(stopped: Path, cut: int):
    for path in stopped.glob("*.csv"):
        path.write_bytes(path.read_bytes()[:-cut])
    found = summarize(stopped)
    assert found["step"] in (4, 5, 6)
    json.dumps(found, allow_nan=False)


def test_a_stopped_run_says_so_and_a_killed_one_is_interrupted(stopped: Path):
    assert summarize(stopped)["state"] == "stopped"
    status = stopped / "status.json"
    status.write_text(status.read_text().replace("stopped", "running"))
    assert summarize(stopped)["state"] == "interrupted"


def test_numbers_that_are_not_finite_are_left_out(stopped: Path):
    table = stopped / "eval.csv"
    text = table.read_text()
    last = text.splitlines()[-1].split(",")
    table.write_text(text + ",".join(["6", "inf", "nan", "-inf", *last[4:]]) + "\n")
    loss = summarize(stopped)["loss"]
    assert (loss["lm_loss"], loss["gap"], loss["nmi"]) == (None, None, None)
    json.dumps(loss, allow_nan=False)


def test_a_damaged_table_is_named(stopped: Path):
    table = stopped / "cv.csv"
    table.write_bytes(table.read_bytes().replace(b",train,", b",", 1))
    with pytest.raises(ArtefactError, match=r"row with \d+ fields under a header of \d+") as caught:
        summarize(stopped)
    assert f"{table}:" in caught.value.render()
