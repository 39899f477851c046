"""The tables against a second, independent computation: csv and math, nothing of the package."""

import csv
from math import ceil, exp, fsum, isclose, log, sqrt
from pathlib import Path

import pytest
from conftest import SMALL, TrainRun, rows

Row = dict[str, str]

PLAIN = ()
DROPPING = (  # experts in one block only, two per token, more noise than signal, full experts
    "n_experts=12",
    "top_k=2",
    "moe_layers=[1]",
    "noise=0.3",
    "capacity_factor=0.75",
    "batch_size=5",
)
EVERY_EXPERT = ("n_experts=3", "top_k=3")  # k = E
RUNS = pytest.mark.parametrize(
    ("settings", "top_k"),
    [(PLAIN, 1), (DROPPING, 2), (EVERY_EXPERT, 3)],
    ids=["plain", "dropping", "every expert"],
)


def load_of(row: Row) -> list[float]:
    return [float(cell) for name, cell in row.items() if name.startswith("expert_")]


def balance(load: list[float], assignments: int, top_k: int) -> dict[str, float | None]:
    """The columns of cv.csv by their definitions."""
    n, mean = len(load), fsum(load) / len(load)
    deviation = sqrt(fsum((q - mean) ** 2 for q in load) / n)
    entropy = -fsum(q * log(q) for q in load if q)
    return {
        "cv": deviation / mean,
        "cv_floor": sqrt((n - top_k) / assignments),
        "max_violation": max(load) / mean - 1,
        "n_eff": exp(entropy),
        "entropy": entropy / log(n),
        "collapse_index": (n - exp(entropy)) / (n - top_k) if n > top_k else None,
    }


def same(cell: str, value: float | None) -> bool:
    return cell == "" if value is None else isclose(float(cell), value, rel_tol=0, abs_tol=1e-12)


def by_place(table: list[Row]) -> dict[tuple[str, ...], Row]:
    return {(row["step"], row["split"], row["layer"]): row for row in table}


@RUNS
def test_cv_csv_is_reproduced_from_utilization_csv(train_run: TrainRun, settings, top_k):
    run = train_run("steps=6", "eval.every=3", *settings)
    utilization, cv = by_place(rows(run, "utilization")), by_place(rows(run, "cv"))
    assert utilization.keys() == cv.keys()
    assert {split for _, split, _ in cv} == {"train", "eval"}
    for place, row in cv.items():
        load = load_of(utilization[place])
        assert isclose(fsum(load), 1, abs_tol=1e-12)
        for name, value in balance(load, int(row["assignments"]), top_k).items():
            assert same(row[name], value), (place, name, row[name], value)


@RUNS
def test_assignments_are_k_per_token(train_run: TrainRun, settings, top_k):
    run = train_run("steps=2", "accumulate=2", *settings)
    batch = 5 if settings is DROPPING else SMALL["batch_size"]
    tokens = batch * 2 * SMALL["seq_len"]
    assert {row["assignments"] for row in rows(run, "cv", split="train")} == {str(top_k * tokens)}
    # evaluation: 128 tokens in sequences of 16
    assert {row["assignments"] for row in rows(run, "cv", split="eval")} == {str(top_k * 128)}
    assert [row["tokens"] for row in rows(run, "steps")] == [str(tokens), str(2 * tokens)]


@RUNS
def test_steps_csv_is_reproduced_from_cv_csv(train_run: TrainRun, settings, top_k):
    run = train_run("steps=6", *settings)
    for step in rows(run, "steps"):
        layers = rows(run, "cv", step=step["step"], split="train")
        cvs = [float(row["cv"]) for row in layers]
        dead = [float(row["dead_experts"]) for row in layers if row["dead_experts"]]
        assert same(step["cv_mean"], fsum(cvs) / len(cvs))
        assert same(step["cv_worst"], max(cvs))
        assert same(step["n_eff_worst"], min(float(row["n_eff"]) for row in layers))
        assert same(step["dropped"], fsum(float(r["dropped"]) for r in layers) / len(layers))
        assert same(step["dead_experts"], fsum(dead) / len(dead) if dead else None)


def test_dropped_is_what_exceeds_the_slots_of_each_expert(train_run: TrainRun):
    run = train_run("steps=6", *DROPPING)
    slots = ceil(0.75 * 2 * 80 / 12)  # 80 tokens, k = 2, E = 12: 10 slots
    for place, row in by_place(rows(run, "cv", split="train")).items():
        load = load_of(by_place(rows(run, "utilization"))[place])
        counts = [round(q * 160) for q in load]
        assert same(row["dropped"], sum(max(0, n - slots) for n in counts) / 160)
        assert float(row["dropped"]) > 0


def test_evaluation_drops_only_where_it_is_asked_to(train_run: TrainRun):
    run = train_run("steps=2", *DROPPING)
    assert {row["dropped"] for row in rows(run, "cv", split="eval")} == {"0.0"}
    run = train_run("steps=2", *DROPPING, "eval_capacity_factor=0.75")
    assert all(float(row["dropped"]) > 0 for row in rows(run, "cv", split="eval"))


def test_dead_experts_are_counted_over_a_window_of_twenty_expected_assignments(
    train_run: TrainRun,
):
    # 32 tokens, k = 1, E = 12: ceil(20 * 12 / 32) = 8 steps
    run = train_run("steps=12", "n_experts=12", "batch_size=2", "init_tilt=3", "tokens=64")
    for layer in ("0", "1"):
        loads = [load_of(row) for row in rows(run, "utilization", split="train", layer=layer)]
        cells = [row["dead_experts"] for row in rows(run, "cv", split="train", layer=layer)]
        assert cells[:7] == [""] * 7
        for last in range(8, 13):
            window = [fsum(load[i] for load in loads[last - 8 : last]) / 8 for i in range(12)]
            assert same(cells[last - 1], sum(q < 0.05 / 12 for q in window) / 12)
    assert any(float(row["dead_experts"]) > 0 for row in rows(run, "steps")[7:])
    # 64 assignments of an evaluation are fewer than 20 per expert
    assert {row["dead_experts"] for row in rows(run, "cv", split="eval")} == {""}


def test_layer_is_the_index_of_the_block(train_run: TrainRun):
    run = train_run("steps=2", "n_layers=3", "moe_layers=[2, 1]")
    for table in ("utilization", "cv", "aux_loss"):
        places = [(row["step"], row["split"], row["layer"]) for row in rows(run, table)]
        expected = [("0", "eval"), ("1", "train"), ("2", "train"), ("2", "eval")]
        assert places == [(*place, layer) for place in expected for layer in ("1", "2")]


def test_rows_appear_at_logged_and_at_last_steps(train_run: TrainRun):
    run = train_run("steps=7", "log.every=3", "eval.every=5")
    for table in ("steps", "timing"):
        assert [row["step"] for row in rows(run, table)] == ["3", "6", "7"]
    assert [row["step"] for row in rows(run, "eval")] == ["0", "5", "7"]


def test_headers_are_exact(train_run: TrainRun):
    run = train_run("steps=1", "n_experts=101", "moe_layers=[0]", "n_domains=2")
    place = ["step", "split", "layer"]
    assert header(run, "steps") == [
        *("step", "tokens", "lr", "loss", "lm_loss", "aux_loss", "grad_norm"),
        *("cv_mean", "cv_worst", "n_eff_worst", "dead_experts", "dropped"),
    ]
    assert header(run, "utilization") == [*place, *(f"expert_{i:03d}" for i in range(101))]
    assert header(run, "cv") == [
        *(*place, "assignments", "cv", "cv_floor", "max_violation", "n_eff", "entropy"),
        *("collapse_index", "dead_experts", "dropped", "router_entropy", "margin", "router_ties"),
        *("cv_relative", "min_over_mean", "n_eff_simpson", "gini", "effective_capacity"),
        *("starved_experts", "cv_kept", "max_violation_kept", "n_eff_kept"),
        *("confidence", "logit_norm"),
    ]
    assert header(run, "aux_loss") == [
        *(*place, "switch_raw", "switch_weighted", "importance_raw", "importance_weighted"),
        *("router_z_raw", "router_z_weighted", "grad_task", "grad_balance", "grad_cosine"),
        *("switch_grad", "switch_cosine", "importance_grad", "importance_cosine"),
        *("router_z_grad", "router_z_cosine"),
    ]
    assert header(run, "eval") == [
        *("step", "lm_loss", "gap", "nmi", "domain_0_loss", "domain_1_loss"),
        *("domain_0_gap", "domain_1_gap"),
    ]
    assert header(run, "router") == [
        *("step", "layer", "nmi", "conditional_nmi", "token_specialization"),
        *("coactivation", "coactivation_floor", "output_cosine", "output_cosine_null"),
        *("cka", "cka_null", "router_cosine", "representation_collapse"),
        *("batch_cv2", "global_cv2", "between_batches", "batch_floor"),
        *("ablation_smallest", "ablation_largest", "over_capacity"),
    ]
    assert header(run, "timing") == ["step", "elapsed_s", "step_ms", "tokens_per_s", "memory_mb"]


def header(run: Path, table: str) -> list[str]:
    with (run / f"{table}.csv").open(newline="") as file:
        return next(csv.reader(file))
