from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from moe_lab.config import load
from moe_lab.errors import ConfigError

Refuse = Callable[..., str]


@pytest.fixture
def refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refuse:
    """The rendered error of a config, given as text or bytes, in an otherwise empty directory."""
    monkeypatch.chdir(tmp_path)

    def refuse(text: str | bytes | None, overrides: Sequence[str] = ()) -> str:
        if text is not None:
            Path("bad.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(ConfigError) as caught:
            load(None if text is None else "bad.yaml", overrides)
        assert caught.value.exit_code == 2
        return caught.value.render()

    return refuse
