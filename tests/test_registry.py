import inspect
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
from annotated_types import Gt, Le

from moe_lab.registry import BALANCERS, ROUTERS, SOURCES, Option, Registry, class_name

METHODS = [
    (registry, name) for registry in (BALANCERS, ROUTERS, SOURCES) for name in registry.names()
]
FROM_PAPERS = [(registry, name) for registry, name in METHODS if name != "text"]


def kind(value: Registry | str) -> str:
    return getattr(value, "kind", str(value))


def test_the_files_of_a_folder_are_its_methods():
    assert SOURCES.names() == ("clusters", "domains", "text")
    assert "top_k" in ROUTERS.names()
    assert {"importance", "router_z", "switch"} <= set(BALANCERS.names())
    assert list(BALANCERS.names()) == sorted(BALANCERS.names())


@pytest.mark.parametrize(
    ("name", "expected"), [("switch", "Switch"), ("router_z", "RouterZ"), ("top_k", "TopK")]
)
def test_a_class_has_the_name_of_its_file(name, expected):
    assert class_name(name) == expected


@pytest.mark.parametrize(("registry", "name"), METHODS, ids=kind)
def test_the_options_read_from_the_text_are_those_of_the_signature(registry, name):
    method = registry.load(name)
    assert method.__name__ == class_name(name)
    parameters = inspect.signature(method.__init__).parameters.values()
    keywords = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    expected = {
        p.name: Option(
            p.annotation, None if p.default is p.empty else p.default, p.default is p.empty
        )
        for p in keywords
    }
    assert registry.options(name) == expected


@pytest.mark.parametrize(("registry", "name"), FROM_PAPERS, ids=kind)
def test_every_method_states_its_equation_source_and_deviations(registry, name):
    method = registry.load(name)
    words = inspect.getdoc(sys.modules[method.__module__])
    assert any(line.startswith("    ") and "=" in line for line in words.splitlines())
    assert "\nSource: " in words
    assert "\nDeviations: " in words
    assert method.__doc__


def test_every_form_of_option_is_read(tmp_path: Path):
    (tmp_path / "base.py").touch()
    (tmp_path / "__init__.py").touch()
    (tmp_path / "some_method.py").write_text(
        "class Helper:\n"
        "    def __init__(self, *, not_an_option: int = 1): ...\n"
        "class SomeMethod:\n"
        "    def __init__(self, size, *, rate: float, mode: Literal['a', 'b'] = 'b',\n"
        "                 limit: int | None = None, step: float = -1e-3,\n"
        "                 share: Annotated[float, Gt(0), Le(1)] = 0.5): ...\n"
    )
    toy = Registry("toy", str(tmp_path))
    assert toy.names() == ("some_method",)
    assert toy.options("some_method") == {
        "rate": Option(float, None, required=True),
        "mode": Option(Literal["a", "b"], "b", required=False),
        "limit": Option(int | None, None, required=False),
        "step": Option(float, -1e-3, required=False),
        "share": Option(Annotated[float, Gt(0), Le(1)], 0.5, required=False),
    }


def test_what_a_class_says_of_itself_is_read_from_its_text(tmp_path: Path):
    (tmp_path / "quiet.py").write_text("class Base:\n    fast = True\nclass Quiet(Base): ...\n")
    (tmp_path / "frank.py").write_text("class Frank:\n    fast = True\n    safe = False\n")
    toy = Registry("toy", str(tmp_path))
    assert [toy.fact("frank", word) for word in ("fast", "safe", "cheap")] == [True, False, None]
    assert toy.fact("quiet", "fast") is None


def test_names_and_options_are_known_without_importing_torch():
    program = (
        "import sys; from moe_lab.registry import ROUTERS\n"
        "assert 'renormalize' in ROUTERS.options('top_k')\n"
        "assert not {'torch', 'moe_lab.routing'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
