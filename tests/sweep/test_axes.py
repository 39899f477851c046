from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.config.keys import grids
from moe_lab.errors import COMMAND_LINE, Problem
from moe_lab.sweep.asked import Asked
from moe_lab.sweep.axes import parse, split

GRIDS = "axes with a default grid: alpha, capacity_factor, n_experts, noise, top_k"


def parsed(*texts: str) -> Asked:
    problems: list[Problem] = []
    asked = parse(texts, problems)
    assert [problem.message for problem in problems] == []
    return asked


def swept(*texts: str) -> dict[tuple[str, ...], list[Any]]:
    return {
        axis.keys: [
            tuple(node.plain() for node in row) if len(row) > 1 else row[0].plain()
            for row in axis.rows
        ]
        for axis in parsed(*texts).swept
    }


def refusal(*texts: str) -> str:
    problems: list[Problem] = []
    parse(texts, problems)
    return "\n".join(problem.render() for problem in problems)


@pytest.mark.parametrize("path", grids())
def test_a_key_alone_is_its_default_grid(path):
    assert swept(path) == swept(path.rpartition(".")[2]) == {(path,): grids()[path]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alpha=0,0.001,1e-2", {("moe.alpha",): [0, 0.001, 0.01]}),
        ("moe.alpha= 0 , 1", {("moe.alpha",): [0, 1]}),
        ("alpha=log:1e-2:1:3", {("moe.alpha",): [0.01, 0.1, 1]}),
        ("alpha=0,log(1e-2,1,3)", {("moe.alpha",): [0, 0.01, 0.1, 1]}),
        ("n_experts=range:2:9:2", {("moe.n_experts",): [2, 4, 6, 8]}),
        ("capacity_factor=null,1.25", {("moe.capacity_factor",): [None, 1.25]}),
        (
            "n_experts:top_k=8:1,16:2",
            {("moe.n_experts", "moe.top_k"): [(8, 1), (16, 2)]},
        ),
        (
            "balance:alpha:lr=switch:0.1:1e-3,{name: loss_free, speed: 0.1}:0:1e-2",
            {
                ("moe.balance", "moe.alpha", "train.lr"): [
                    ({"name": "switch"}, 0.1, 0.001),
                    ({"name": "loss_free", "speed": 0.1}, 0, 0.01),
                ]
            },
        ),
        (
            "balance=switch,loss_free",
            {("moe.balance",): [{"name": "switch"}, {"name": "loss_free"}]},
        ),
        (
            "router={name: top_k, score: sigmoid},noisy_top_k",
            {("moe.router",): [{"name": "top_k", "score": "sigmoid"}, {"name": "noisy_top_k"}]},
        ),
        ("moe_layers=[0],[0,1],all", {("model.moe_layers",): [(0,), (0, 1), "all"]}),
        ("path=\"/a, b.txt\",'/it''s:c.txt'", {("data.path",): ["/a, b.txt", "/it's:c.txt"]}),
        ("path=/a b.txt,/it's.txt", {("data.path",): ["/a b.txt", "/it's.txt"]}),
        (
            "path={a: /x, b: /y},/z",
            {("data.path",): [{"a": "/x", "b": "/y"}, "/z"]},
        ),
        ("lr_schedule='cosine',\"constant\"", {("train.lr_schedule",): ["cosine", "constant"]}),
    ],
)
def test_several_values_are_an_axis(text, expected):
    assert swept(text) == expected


def test_a_single_value_is_a_setting_of_all_runs():
    asked = parsed("steps=200", "n_experts:top_k=16:2", "name=12", "alpha=0,1")
    settings = {key: node.plain() for key, node in asked.fixed.items()}
    expected = {"train.steps": 200, "moe.n_experts": 16, "moe.top_k": 2, "name": "12"}
    assert settings == expected
    assert [axis.keys for axis in asked.swept] == [("moe.alpha",)]


def test_a_value_knows_the_text_that_it_comes_from():
    (axis,) = parsed("alpha=0,log:1:10:2").swept
    places = {(row[0].place.source, row[0].place.text) for row in axis.rows}
    assert places == {(COMMAND_LINE, "alpha=0,log:1:10:2")}


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("alfa", "cannot sweep 'alfa': no such config key", f"did you mean 'alpha'? {GRIDS}"),
        ("alfa=0,1", "cannot sweep 'alfa': no such config key", f"did you mean 'alpha'? {GRIDS}"),
        ("num_experts", "cannot sweep 'num_experts': no such config key", "mean 'n_experts'?"),
        ("moe.topk=1,2", "cannot sweep 'moe.topk': no such config key", "did you mean 'top_k'?"),
        ("xyzzy=1,2", "cannot sweep 'xyzzy': no such config key", f"help: {GRIDS}"),
        ("=1,2", "cannot sweep '': no such config key", GRIDS),
        ("alfa=1", "unknown config key 'alfa'", "did you mean 'moe.alpha'?"),
        ("lr", "'train.lr' has no default grid", f"such as lr=A,B; {GRIDS}"),
        ("every=1,2", "'every' is ambiguous", "write eval.every or log.every or"),
        ("moe=1,2", "'moe' is a section", "set its keys, such as moe.n_experts=…"),
        ("moe", "'moe' is a section", "set its keys, such as moe.n_experts=…"),
        ("seed=0,1", "a sweep has several seeds", "use --seeds 0,1,2"),
        ("seed=7", "a sweep has several seeds", "use --seeds 0,1,2"),
        ("seed", "a sweep has several seeds", "use --seeds 0,1,2"),
        ("name=a,b", "'name' cannot be swept", "a single name is that of the sweep"),
        ("alpha=", "'alpha=' has no value", "write alpha=value, or null for none"),
        ("alpha=0,,1", "'alpha': a value is missing beside a comma", "null is written out"),
        ("alpha=0,", "'alpha': a value is missing beside a comma", "null is written out"),
        ("alpha=0,0.0", "'moe.alpha': 0.0 repeats 0", "keep one of the two"),
        ("alpha=0.1,log:1e-2:1:3", "'moe.alpha': 0.1 repeats 0.1", "keep one"),
        ("balance=switch,{name: switch}", "'moe.balance': switch repeats switch", "keep one"),
        ("n_experts:top_k=8:1,8:1", "'moe.n_experts:moe.top_k': 8:1 repeats 8:1", "keep one"),
        ("alpha=log:0:1:4", "'log:0:1:4': 0 is not above 0", "0 goes beside it"),
        ("n_experts:top_k", "'n_experts:top_k' has no values", "such as n_experts:top_k=A:B,C:D"),
        ("n_experts:top_k=8:1,9", "'9': expected 2 values, for n_experts:top_k, got 1", "':'"),
        ("n_experts:top_k=8:1:3", "'8:1:3': expected 2 values, for n_experts:top_k, got 3", "':'"),
        ("n_experts:top_k=8:,4:1", "'8:': expected 2 values, for n_experts:top_k, got 1", "':'"),
        ("alpha:alpha=0:1,1:2", "'moe.alpha' is given twice", "keep one of the two"),
        ("alpha:seed=0:1,1:2", "a sweep has several seeds", "use --seeds"),
        ("moe_layers=[0],[1", "the list opened here is never closed", "close it with ]"),
        ("alpha=0,\udcff", "control character U+DCFF", "plain UTF-8 text"),
    ],
)
def test_a_wrong_axis_is_refused_with_its_remedy(text, message, remedy):
    lines = refusal(text).splitlines()
    assert lines[0].startswith(f"error: {message}")
    assert lines[1] == "  --> command line: " + text.replace("\udcff", "?")
    assert remedy in lines[-1]
    assert len(lines) == (3 if remedy else 2)


@pytest.mark.parametrize(
    "texts",
    [("alpha=0,1", "alpha=0,2"), ("alpha=0,1", "moe.alpha=3"), ("alpha:lr=0:1,1:2", "alpha")],
)
def test_a_key_is_given_once(texts):
    assert refusal(*texts) == (
        f"error: 'moe.alpha' is given twice\n  --> command line: {texts[1]}\n"
        "  help: keep one of the two"
    )


def test_all_wrong_axes_are_refused_at_once():
    assert refusal("alfa", "lr", "steps=", "alpha", "seed=1").count("error:") == 4


@given(st.text(alphabet="ab, :'\"[]{}()"))
def test_the_parts_of_a_text_make_the_text(text):
    assert ",".join(split(text, ",")) == text


@given(st.lists(st.text(alphabet="=:,alphseed[]{}\"' .0log(", min_size=1), max_size=3))
def test_any_texts_give_axes_or_problems(texts):
    problems: list[Problem] = []
    parse(texts, problems)
    for problem in problems:
        problem.render()
