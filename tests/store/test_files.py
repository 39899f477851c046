import os
from pathlib import Path

import pytest

from moe_lab.errors import ArtefactError
from moe_lab.store import files


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ('{"a": 1', "is corrupt"),
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": -Infinity}', "-Infinity is not JSON"),
        ('{"a": 1, "b": 2, "a": 3}', "key 'a' stands twice"),
        ('{"x": {"a": 1, "a": 1}}', "key 'a' stands twice"),
        ("[1]", "not a JSON object"),
        ("[" * 100_000, "is corrupt"),
        ('{"a": "\ud800"}', "is corrupt"),
        ('{"a": "' + "x" * 1_000_000 + '"}', "1,000,009 bytes, more than 1,000,000"),
    ],
    ids=lambda text: text[:20],
)
def test_json_that_is_not_ours_is_refused_with_path_and_reason(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(ArtefactError, match=reason) as caught:
        files.read_json(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_only_plain_files_are_read(tmp_path: Path, make: object) -> None:
    path = tmp_path / "run.json"
    make(path)  # type: ignore[operator]
    with pytest.raises(ArtefactError, match="not a plain file"):
        files.read_json(path)


def test_a_later_schema_asks_for_an_update(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="schema 2; this moe-lab reads up to 1") as caught:
        files.check_schema({"schema": 2}, tmp_path / "run.json")
    assert "help: update moe-lab" in caught.value.render()
