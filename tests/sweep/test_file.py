from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.errors import Problem
from moe_lab.sweep import axes, file
from moe_lab.sweep.asked import Asked

Read = Callable[..., tuple[Asked, str]]

WHOLE = """\
name: both
base: sub/base.yaml
set:
  steps: 50
  moe.noise: 0.1
axes:
  alpha: [0, log:1e-2:1:3]
  capacity_factor:
  lr: lin:1e-3:3e-3:3
  moe_layers: [[0], [0, 1], all]
  train.warmup: [5]
paired:
- n_experts: [8, 16]
  top_k: range:1:3
exclude:
- {alpha: [0, 1], n_experts: 16}
seeds: [3, 4]
"""


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """A sweep file of a text: what it asks for, and its problems as they are printed."""
    monkeypatch.chdir(tmp_path)

    def read(text: str) -> tuple[Asked, str]:
        problems: list[Problem] = []
        Path("s.yaml").write_text(text)
        asked = file.read(Path("s.yaml"), problems)
        return asked, "\n".join(problem.render() for problem in problems)

    return read


def swept(asked: Asked) -> dict[tuple[str, ...], list[tuple[Any, ...]]]:
    return {a.keys: [tuple(node.plain() for node in row) for row in a.rows] for a in asked.swept}


def test_a_sweep_file_says_what_is_varied_on_what(read, tmp_path):
    asked, problems = read(WHOLE)
    assert problems == ""
    assert swept(asked) == {
        ("moe.alpha",): [(0,), (0.01,), (0.1,), (1,)],
        ("moe.capacity_factor",): [(None,), (1,), (1.25,), (2,)],
        ("train.lr",): [(0.001,), (0.002,), (0.003,)],
        ("model.moe_layers",): [((0,),), ((0, 1),), ("all",)],
        ("moe.n_experts", "moe.top_k"): [(8, 1), (16, 2)],
    }
    assert {key: node.value for key, node in asked.fixed.items()} == {
        "name": "both",
        "train.steps": 50,
        "moe.noise": 0.1,
        "train.warmup": 5,
    }
    assert asked.base
    assert asked.base.value == str(tmp_path / "sub" / "base.yaml")
    assert asked.seeds
    assert asked.seeds.plain() == (3, 4)


def test_an_exclusion_takes_points_that_match_all_of_its_keys(read):
    (exclusion,) = read(WHOLE)[0].exclude
    problems: list[Problem] = []
    points = {
        (alpha, n): axes.parse([f"alpha={alpha}", f"n_experts={n}"], problems).fixed
        for alpha in (0, 0.01, 1.0)
        for n in (8, 16)
    }
    out = [point for point, nodes in points.items() if exclusion.matches(nodes)]
    assert out == [(0, 16), (1.0, 16)]


@pytest.mark.parametrize(
    ("value", "out"),
    [("loss_free", True), ("{name: loss_free, speed: 0.1}", True), ("switch", False)],
)
def test_an_excluded_method_stands_for_all_of_its_options(read, value, out):
    (exclusion,) = read("axes: {alpha: }\nexclude: [{balance: loss_free}]")[0].exclude
    assert exclusion.matches(axes.parse([f"balance={value}"], []).fixed) is out


def test_paths_are_relative_to_the_file_that_holds_them(read, tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "s.yaml").write_text("axes: {path: [a.txt, '/b, c.txt', {x: d.txt}]}")
    asked = file.read(Path("sub/s.yaml"), [])
    folder = str(tmp_path / "sub")
    assert [row[0].plain() for row in asked.swept[0].rows] == [
        f"{folder}/a.txt",
        "/b, c.txt",
        {"x": f"{folder}/d.txt"},
    ]


def test_the_command_line_wins_over_the_file(read):
    problems: list[Problem] = []
    line = axes.parse(["alpha=5", "steps=7", "lr=1,2", "n_experts:top_k=2:1,4:1"], problems)
    asked = file.combined(read(WHOLE)[0], line, problems)
    assert problems == []
    assert list(swept(asked)) == [
        ("moe.capacity_factor",),
        ("model.moe_layers",),
        ("train.lr",),
        ("moe.n_experts", "moe.top_k"),
    ]
    assert swept(asked)[("train.lr",)] == [(1,), (2,)]
    assert {asked.fixed[key].value for key in ("moe.alpha", "train.steps")} == {5, 7}


def test_one_key_of_a_pair_cannot_be_replaced_alone(read):
    problems: list[Problem] = []
    file.combined(read(WHOLE)[0], axes.parse(["top_k=4"], problems), problems)
    assert [problem.render() for problem in problems] == [
        "error: 'moe.top_k' is paired with others in the sweep file\n"
        "  --> command line: top_k=4\n"
        "  help: give moe.n_experts:moe.top_k=…"
    ]


def test_a_problem_is_shown_with_its_line(read):
    assert read("axes:\n  alpha: [0, 0.1, 0]\n")[1] == (
        "error: 'moe.alpha': 0 repeats 0\n"
        "  --> s.yaml:2:19\n"
        "   |\n"
        " 2 |   alpha: [0, 0.1, 0]\n"
        "   |                   ^\n"
        "  help: keep one of the two"
    )


@pytest.mark.parametrize(
    ("text", "place", "message", "remedy"),
    [
        ("axis: {alpha: }", "1:1", "unknown key 'axis' of a sweep file", "did you mean 'axes'?"),
        ("alpha: [0, 1]", "1:1", "unknown key 'alpha' of a sweep file", "under 'axes:' or 'set:'"),
        ("xyzzy: 1", "1:1", "unknown key 'xyzzy' of a sweep file", "keys of a sweep file: name, b"),
        ("seed: 0\nmoe: {}", "2:1", "s.yaml is a config, not a sweep file", "it with -c s.yaml"),
        ("[1]", "1:1", "this is no sweep file: it has no keys", "keys of a sweep file"),
        ("axes: [alpha]", "1:7", "'axes': expected keys with values, got [alpha]", ""),
        ("set: 5", "1:6", "'set': expected keys with values, got 5", ""),
        ("axes: {alfa: [0, 1]}", "1:8", "cannot sweep 'alfa': no such config key", "'alpha'?"),
        ("axes: {lr: }", "1:8", "'train.lr' has no default grid", "axes with a default grid"),
        ("axes: {alpha: 0.1}", "1:15", "'moe.alpha': expected a list of values, got 0.1", "[0.1]"),
        (
            'axes: {alpha: "0.01, 0.1"}',
            "1:15",
            "'moe.alpha': expected a list of values, got 0.01, 0.1",
            "write [0.01, 0.1]",
        ),
        ("axes: {balance: {name: switch}}", "1:17", "'moe.balance': expected a list", "a list"),
        ("axes: {alpha: []}", "1:15", "'moe.alpha': the list is empty", "name the values"),
        ("axes: {alpha: log:0:1:3}", "1:15", "'log:0:1:3': 0 is not above 0", "log:1e-4:1:9"),
        ("axes: {lr: [1, lin:1:2]}", "1:16", "'lin:1:2': three numbers are needed", "lin:1e-3"),
        ("axes: {seed: [0, 1]}", "1:8", "a sweep has several seeds", "seeds: [0, 1, 2]"),
        ("set: {seed: 1}", "1:7", "a sweep has several seeds", "seeds: [0, 1, 2]"),
        ("axes: {name: [a, b]}", "1:8", "'name' cannot be swept", "name=…"),
        ("set: {stesp: 1}", "1:7", "unknown config key 'stesp'", "did you mean 'train.steps'?"),
        ("set: {train: {steps: 1}}", "1:7", "'train' is a section", "train.steps=…"),
        ("set: {alpha: 1}\naxes: {moe.alpha: }", "2:8", "'moe.alpha' is given twice", "keep one"),
        ("paired: {n_experts: [1]}", "1:9", "'paired': expected a list of mappings", "such as"),
        ("paired: []", "1:9", "'paired': expected a list of mappings", "such as paired: [{"),
        ("exclude: [5]", "1:10", "'exclude': expected a list of mappings", "such as exclude: [{"),
        (
            "paired: [{n_experts: [8, 16], top_k: [1]}]",
            "1:38",
            "'n_experts' and 'top_k' are paired, but have 2 and 1 values",
            "give each as many",
        ),
        ("exclude: [{alfa: 1}]", "1:12", "cannot sweep 'alfa': no such config key", "'alpha'?"),
        ("base: 5", "1:7", "'base': expected the path of a config, got 5", ""),
        ("base:", "1:1", "'base': expected the path of a config, got null", ""),
        ("axes: {alpha: [0, 1}", "1:15", "the list opened here is never closed", "close it with ]"),
        ("axes: {}\naxes: {}", "2:1", "'axes' is given twice; first on line 1", "keep one"),
    ],
)
def test_a_wrong_sweep_file_is_refused_where_it_is_wrong(read, text, place, message, remedy):
    lines = read(text)[1].splitlines()
    assert lines[0].startswith(f"error: {message}")
    assert lines[1] == f"  --> s.yaml:{place}"
    assert len(lines) == (6 if remedy else 5)
    assert remedy in lines[-1]


def test_all_problems_of_a_file_come_at_once(read):
    problems = read("axis: 1\nset: {stesp: 1}\naxes: {alfa: , lr: }\nexclude: [{x: 1}]")[1]
    assert problems.count("error:") == 5


def test_a_missing_file_suggests_its_neighbour(read):
    read("seeds: 3")
    problems: list[Problem] = []
    file.read(Path("sx.yaml"), problems)
    assert [problem.help for problem in problems] == ["did you mean 's.yaml'?"]


@given(
    st.recursive(
        st.none() | st.integers() | st.sampled_from(["alpha", "log:1:2:3", "x"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*file.KEYS, "alpha", "top_k"]), inner, max_size=4)
        ),
        max_leaves=10,
    )
)
def test_any_tree_gives_a_sweep_or_problems(tmp_path_factory, tree):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(repr(tree).replace("None", "null"))
    problems: list[Problem] = []
    asked = file.read(path, problems)
    assert problems or asked.axes is not None
    for problem in problems:
        problem.render()
