import shutil
from collections import Counter
from math import nan
from pathlib import Path

import numpy as np
import pytest
from conftest import rows

from moe_lab.figures.base import Absent
from moe_lab.figures.specialization import _names, by_domain, by_token, specialization
from moe_lab.figures.subject import Subject
from moe_lab.store.layout import ARRAYS

from .seen import data, figure, said, subject, visible


def panel(drawn: object, number: int) -> dict[tuple[str, str], float]:
    """Shares of one panel by expert and label."""
    spec = figure(drawn).spec()  # type: ignore[arg-type]
    chart = spec["concat"][number]
    name = (chart.get("layer", [chart])[0].get("data") or chart["data"])["name"]
    return {(row["expert"], row["label"]): row["share"] for row in spec["datasets"][name]}


def test_a_cell_is_the_share_of_a_domains_assignments(drawn_run: Path, drawn_subject: Subject):
    counts = drawn_subject.frames.arrays(30)["layer_1.expert_by_domain"]
    wanted = {
        (str(expert), str(domain)): float(counts[expert, domain] / counts[:, domain].sum())
        for expert in range(4)
        for domain in range(4)
    }
    assert panel(by_domain(drawn_subject), 1) == pytest.approx(wanted, abs=1e-4)


def test_the_worst_layer_is_drawn_at_earlier_evaluations_too(drawn_subject: Subject):
    titles = [
        (part["title"]["text"], part["title"]["subtitle"])
        for part in figure(by_domain(drawn_subject)).spec()["concat"]
    ]
    worst = f"layer {drawn_subject.worst_layer}"
    assert titles[:2] == [("layer 0", "step 30"), ("layer 1", "step 30")]
    assert titles[2:] == [(worst, "step 0"), (worst, "step 10"), (worst, "step 20")]


def test_a_share_stands_on_its_cell(drawn_subject: Subject):
    shares = [row["share"] for row in data(by_domain(drawn_subject), "share")]
    wanted = Counter(f"{100 * share:.0f}%" for share in shares if share >= 0.005)
    assert sum(Counter(said(by_domain(drawn_subject))).values()) == sum(wanted.values())
    assert len(visible(by_domain(drawn_subject), "rect")) == len(shares) == 5 * 16


def test_a_text_of_one_source_has_no_domains(drawn_run: Path):
    record = {"data": {"domains": ["text"]}}
    assert isinstance(by_domain(subject(drawn_run, record=record)), Absent)


def test_a_domain_that_is_not_in_the_data_has_no_column(drawn_run: Path, tmp_path: Path):
    arrays = dict(subject(drawn_run).frames.arrays(30))
    for layer in (0, 1):
        arrays[f"layer_{layer}.expert_by_domain"] = np.array([[1, 0, 2, 3]] * 4)
    (tmp_path / ARRAYS).mkdir()
    np.savez(tmp_path / ARRAYS / "step-00000030.npz", **arrays)
    for name in ("run.json", "status.json"):
        shutil.copy(drawn_run / name, tmp_path)
    known = subject(drawn_run).frames
    drawn = by_domain(subject(tmp_path, cv=known.cv, utilization=known.utilization))
    assert {label for _, label in panel(drawn, 0)} == {"0", "2", "3"}


def test_the_most_frequent_tokens_are_drawn_by_their_favourite_expert(drawn_subject: Subject):
    counts = drawn_subject.frames.arrays(30)["layer_0.expert_by_token"]
    shown = panel(by_token(drawn_subject), 0)
    labels = list(dict.fromkeys(label for _, label in shown))
    assert {int(label) for label in labels} == set(np.flatnonzero(counts.sum(0)).tolist())
    favourites = [counts[:, int(label)].argmax() for label in labels]
    assert favourites == sorted(favourites)
    for (expert, label), share in shown.items():
        own = counts[int(expert), int(label)] / counts[:, int(label)].sum()
        assert share == pytest.approx(own, abs=1e-4)


def test_bytes_are_shown_as_characters_and_other_tokens_as_numbers(drawn_run: Path):
    tokens = [97, 32, 10, 39, 92, 233]
    text = {"source": "text", "dtype": "bytes", "tokenizer": None}
    written = ["a", "space", r"\n", "'", "\\", r"\xe9"]
    assert _names(subject(drawn_run, config={"data": text}), tokens) == written
    for other in ({"source": "domains"}, {**text, "dtype": "uint16"}, {**text, "tokenizer": "t"}):
        assert _names(subject(drawn_run, config={"data": other}), tokens) == list(map(str, tokens))


def test_a_run_without_arrays_says_so(drawn_run: Path, tmp_path: Path):
    for name in ("run.json", "status.json"):
        shutil.copy(drawn_run / name, tmp_path)
    for drawn in (by_domain(subject(tmp_path)), by_token(subject(tmp_path))):
        assert isinstance(drawn, Absent)
        assert "no evaluation" in drawn.why


def test_every_evaluation_of_every_layer_is_on_the_line(drawn_run: Path, drawn_subject: Subject):
    drawn = specialization(drawn_subject)
    for name in ("nmi", "conditional_nmi", "token_specialization"):
        assert [(row["step"], row["layer"], row[name]) for row in data(drawn, name, "step")] == [
            (int(row["step"]), int(row["layer"]), pytest.approx(float(row[name]), rel=1e-5))
            for row in rows(drawn_run, "router")
        ]
    assert said(drawn) == ["chance"] * 3


def test_nearly_nothing_looks_like_nothing(drawn_run: Path):
    table = subject(drawn_run).frames.router.assign(nmi=0.001)
    panels = figure(specialization(subject(drawn_run, router=table))).spec()["concat"]
    assert panels[0]["layer"][-1]["encoding"]["y"]["scale"]["domain"] == [0, 0.1]


def test_what_text_does_not_know_has_no_panel(drawn_run: Path):
    table = subject(drawn_run).frames.router
    text = table.assign(nmi=nan, conditional_nmi=nan)
    assert len(figure(specialization(subject(drawn_run, router=text))).spec()["concat"]) == 1
    early = table[["step", "layer"]]
    assert isinstance(specialization(subject(drawn_run, router=early)), Absent)
