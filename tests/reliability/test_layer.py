"""Nothing changes a run's folder but the calls that a test can replace: the harnesses see every one of them."""

from pathlib import Path

from .servers import ask


def test_a_training_changes_files_through_the_layer_alone(memory: Path):
    seen = ask("audit_server", memory)
    assert seen["calls"] > 100
    assert seen["strays"] == []
    assert seen["unexplained"] == [], "bytes that no call has written"
    assert all(event.endswith("/runs/stray") for event in seen["noticed"])
    assert seen["noticed"], "the hook hears nothing"
