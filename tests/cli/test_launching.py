"""Options of a launcher, read from the source of its class."""

from pathlib import Path

import pytest

from moe_lab.cli import launching
from moe_lab.errors import ConfigError
from moe_lab.registry import Registry

LAUNCHER = """
class Cloud:
    def __init__(self, demand, *, zone: str | None = None, nodes: int = 1, spot: bool = False):
        pass
"""


@pytest.fixture(autouse=True)
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A launcher of one's own, which cannot be imported: nothing of it is."""
    (tmp_path / "cloud.py").write_text(LAUNCHER)
    monkeypatch.setattr(launching, "LAUNCHERS", Registry("launcher", str(tmp_path)))


def test_options_have_the_types_of_the_arguments() -> None:
    assert launching._checked("cloud", ["zone=7", "nodes=3", "spot=true"]) == {
        "zone": "7",
        "nodes": 3,
        "spot": True,
    }
    assert launching._checked("cloud", ["zone=a=b"]) == {"zone": "a=b"}


def test_all_that_is_wrong_with_options_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        launching._checked("cloud", ["nodes=many", "noeds=2", "zone=a", "zone=b", "spot"])
    assert caught.value.render().splitlines() == [
        "error: --launcher-opt nodes=many: should be a valid integer, unable to parse string as an integer",
        "error: --launcher cloud has no option 'noeds'",
        "  help: one of zone, nodes, spot",
        "error: option 'zone' of the launcher is given twice",
        "error: --launcher-opt spot: should be a valid boolean, unable to interpret input",
    ]
