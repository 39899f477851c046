import subprocess

import pytest

from moe_lab.page import vega


def test_what_would_end_a_script_is_escaped_inside_its_strings():
    assert vega.inline('a("</script>", "<!-- x")') == r'a("<\/script>", "<\!-- x")'


def test_a_page_that_comes_to_nothing_does_not_wait(monkeypatch: pytest.MonkeyPatch):
    begun: list[subprocess.Popen[bytes]] = []
    started = subprocess.Popen

    def noting(*args: object, **options: object) -> subprocess.Popen[bytes]:
        begun.append(started(*args, **options))
        return begun[-1]

    monkeypatch.setattr(subprocess, "Popen", noting)
    with pytest.raises(KeyError), vega.starting():
        raise KeyError
    assert begun[0].returncode != 0
