import json
from pathlib import Path

import pytest

from moe_lab.errors import ArtefactError
from moe_lab.store.files import parse_json
from moe_lab.store.seal import check_seal, sealed

RECORD = {"step": 12, "files": {"a": [1, 2.5, None]}, "name": "x"}
PATH = Path("x.json")


def test_a_sealed_record_says_the_same_and_holds_whatever_its_layout() -> None:
    assert sealed(RECORD).items() >= RECORD.items()
    for indent in (None, 4):
        text = json.dumps(sealed(RECORD), indent=indent).encode()
        check_seal(parse_json(text, PATH), PATH)


@pytest.mark.parametrize(
    "change", [{"step": 13}, {"new": 1}, {"sha256": None}, {"files": {"a": [1, 2.5]}}]
)
def test_any_change_of_the_rest_breaks_the_seal(change: dict[str, object]) -> None:
    with pytest.raises(ArtefactError, match=r"x\.json is corrupt: its SHA-256 differs"):
        check_seal(sealed(RECORD) | change, PATH)


def test_a_record_without_a_seal_is_refused() -> None:
    with pytest.raises(ArtefactError, match="its SHA-256 differs"):
        check_seal(RECORD, PATH)
