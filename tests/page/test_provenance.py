import pytest

from moe_lab.page.provenance import command, facts, without_folders

RECORD = {
    "git": {"commit": "0123456789abcdef", "dirty": True},
    "versions": {"moe_lab": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6", "python": "3.11.7"},
    "host": {"system": "Linux x86_64", "cores": 2, "cpu_capability": "AVX2", "gpu": None},
    "device": "cpu",
    "threads": 1,
    "created": "2026-11-22T15:18:50.062+00:00",
}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/me/c.yaml", "…/c.yaml"),
        ("path=/home/me/t.txt", "path=…/t.txt"),
        ('File "/opt/x/loop.py", line 3', 'File "…/loop.py", line 3'),
        ("configs/c.yaml", "configs/c.yaml"),
        ("../up/c.yaml", "../up/c.yaml"),
        ("~/c.yaml", "~/c.yaml"),
        ("nats/token, E/k/T", "nats/token, E/k/T"),
        ("https://example.org/a/b", "https://example.org/a/b"),
    ],
)
def test_absolute_paths_keep_their_last_part_alone(text: str, shown: str):
    assert without_folders(text) == shown


def test_a_command_is_quoted_for_a_shell():
    asked = ["moe-lab", "train", "/a/b/c.yaml", "moe.extra=[{name: x}]"]
    assert command({"command": asked}) == "moe-lab train …/c.yaml 'moe.extra=[{name: x}]'"


def test_what_runs_share_is_told_once_and_times_as_a_span():
    later = {**RECORD, "created": "2026-11-22T16:00:00.000+00:00", "git": None}
    told = dict(facts([RECORD, later]))
    assert told["source"] == "git 0123456789, changed files; no git repository"
    assert told["versions"] == "moe-lab 0.1.0, torch 2.13.0, numpy 2.4.6, python 3.11.7"
    assert told["machine"] == "Linux x86_64, 2 cores, AVX2, device cpu, threads 1"
    assert told["created"] == "2026-11-22 15:18:50 to 2026-11-22 16:00:00 UTC"
