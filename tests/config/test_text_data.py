from pathlib import Path

import pytest

from moe_lab.config import Text, load


@pytest.mark.parametrize(
    ("path", "message", "remedy"),
    [
        ("shakespeer.txt", "no such file", "shakespeare.txt'?"),
        ("no/such/text.txt", "no such file", "there is no folder"),
        ("folder", "'data.path' is a folder", "name one file in it"),
        (
            "empty.txt",
            "the file is empty; with seq_len 64 it needs at least 2 * (64 + 1) = 130",
            "",
        ),
        ("short.txt", "the file has 129 bytes; with seq_len 64", ""),
    ],
)
def test_a_text_that_cannot_be_trained_on_is_refused_at_its_key(refusal, path, message, remedy):
    Path("shakespeare.txt").write_bytes(b"x" * 130)
    Path("empty.txt").touch()
    Path("short.txt").write_bytes(b"x" * 129)
    Path("folder").mkdir()
    rendered = refusal(f"data:\n  source: text\n  path: {path}\n")
    assert message in rendered
    assert "--> bad.yaml:3:3" in rendered
    assert remedy in rendered


def test_the_shortest_text_holds_two_windows(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"x" * 130)
    assert load(None, ["source=text", f"path={tmp_path}/a.txt"]).warnings == ()


def test_the_text_of_a_finished_run_may_be_gone():
    config = load(None, ["source=text", "path=/gone.txt"], data_exists=False).config
    assert config.data == Text(source="text", path="/gone.txt")
