import csv
import io
from pathlib import Path
from typing import Any

import pytest

from moe_lab.report.summary import summarize
from moe_lab.report.tidy import HEADER, to_csv


@pytest.fixture(scope="module")
def found(finished: Path) -> dict[str, Any]:
    return summarize(finished)


def rows(*summaries: dict[str, Any]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(summaries), newline="")))


def values(summary: dict[str, Any], section: str) -> dict[str, str]:
    return {row["name"]: row["value"] for row in rows(summary) if row["section"] == section}


def test_the_table_is_rfc_4180(found: dict[str, Any]):
    text = to_csv([found])
    assert text.startswith(",".join(HEADER) + "\r\n")
    assert text.endswith("\r\n")
    loss = {"ladder": [], "step": 1.0, 'a "quoted", label\nof two lines_loss': 0.1}
    assert values({**found, "loss": loss}, "loss")['a "quoted", label\nof two lines_loss'] == "0.1"


def test_numbers_read_back_exactly_and_unknowns_are_blank(found: dict[str, Any]):
    throughput = {"tokens_per_s": 1 / 3, "step_ms": None, "elapsed_s": 1e-300}
    read = values({**found, "throughput": throughput}, "throughput")
    assert float(read["tokens_per_s"]) == 1 / 3
    assert read["step_ms"] == ""
    assert float(read["elapsed_s"]) == 1e-300


def test_every_layer_has_its_rows(found: dict[str, Any]):
    layers = {row["layer"] for row in rows(found) if row["section"] == "balance"}
    assert layers == {"0", "1", "mean", "worst"}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_text_is_no_formula_of_a_spreadsheet(found: dict[str, Any], text: str):
    assert values({**found, "name": text}, "run")["name"] == f"'{text}"


@pytest.mark.parametrize(("text", "shown"), [("\t=1", r"'\t=1"), ("\x1b[2J", r"\x1b[2J")])
def test_text_controls_no_terminal(found: dict[str, Any], text: str, shown: str):
    assert values({**found, "name": text}, "run")["name"] == shown


def test_negative_numbers_stay_numbers(found: dict[str, Any]):
    assert values({**found, "floors": {"x": -0.5}}, "floors") == {"x": "-0.5"}


def test_lists_are_json(found: dict[str, Any]):
    provenance = {"command": ["moe-lab", 'a "b"']}
    assert values({**found, "provenance": provenance}, "provenance") == {
        "command": '["moe-lab", "a \\"b\\""]'
    }
