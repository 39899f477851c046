import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lab.config import Config, load
from moe_lab.config.keys import grids
from moe_lab.errors import ConfigError
from moe_lab.plan import Plan, Point
from moe_lab.sweep.grid import plan

ROOT = Path(__file__).parents[2]
Refuse = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.txt", "b, c.txt"):
        (tmp_path / name).write_bytes(b"x" * 1000)
    return tmp_path


def points(*texts: str, **asked: Any) -> dict[str, dict[str, Any]]:
    return {point.name: dict(point.settings) for point in plan(texts, **asked).plan.points}


def refusal(*texts: str, **asked: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        plan(texts, **asked)
    return caught.value.render()


def test_alpha_alone_is_its_default_grid_at_three_seeds_on_the_packaged_collapse():
    grid = plan(["alpha"])
    assert grid.name == "sweep-alpha"
    assert grid.base.config.name == "collapse"
    assert grid.plan == Plan(
        keys=("moe.alpha",),
        points=tuple(
            Point(f"alpha-{word}", {"moe.alpha": value})
            for word, value in [("0", 0.0), ("0.001", 0.001), ("0.01", 0.01), ("0.1", 0.1), ("1", 1.0)]
        ),
        seeds=(0, 1, 2),
        baseline="alpha-0",
    )  # fmt: skip
    assert grid.plan.runs[0].settings == {"moe.alpha": 0.0, "seed": 0, "name": "alpha-0-s0"}


def test_the_packaged_base_is_the_config_of_the_repository():
    assert plan(["alpha"]).base.config == load(ROOT / "configs" / "collapse.yaml").config


@pytest.mark.parametrize("key", grids())
def test_every_default_grid_is_valid_on_the_packaged_base_without_a_warning(key):
    grid = plan([key])
    assert len(grid.plan.points) == len(grids()[key])
    assert [w.message for w in grid.warnings if "rounded up" not in w.message] == []


def test_points_are_a_product_whose_first_axis_varies_slowest():
    grid = plan(["alpha=0,1", "n_experts:top_k=8:1,16:2"])
    assert grid.plan.keys == ("moe.alpha", "moe.n_experts", "moe.top_k")
    assert [tuple(p.settings.values()) for p in grid.plan.points] == [
        (0.0, 8, 1),
        (0.0, 16, 2),
        (1.0, 8, 1),
        (1.0, 16, 2),
    ]


def test_the_base_has_the_settings_of_all_runs_and_the_name_of_its_config(folder):
    Path("x.yaml").write_text("name: mine\nseed: 7\nmoe: {alpha: 0.5}\ntrain: {steps: 5}")
    grid = plan(["noise=0,1", "steps=9", "name=short"], config="x.yaml", seeds="2")
    base = grid.base.config
    assert (base.name, base.moe.alpha, base.train.steps) == ("mine", 0.5, 9)
    assert (grid.name, grid.plan.seeds, grid.base.raw[:10]) == ("short", (7, 8), b"name: mine")
    assert grid.base.origins["train.steps"] == "command line"


@pytest.mark.parametrize(
    ("texts", "baseline"),
    [
        (["alpha=0.1,0,1"], "alpha-0"),
        (["alpha=0.1,1"], "alpha-0.1"),
        (["alpha=0.1,0", "top_k=2,1"], "alpha-0_top_k-1"),
        (["balance=importance,switch"], "balance-switch"),
    ],
)
def test_the_baseline_is_the_base_itself_else_the_first_point(texts, baseline):
    assert plan(texts).plan.baseline == baseline


def test_settings_are_those_of_the_checked_config(folder):
    mapped, path = points("path={x: a.txt},'b, c.txt'", "source=text").values()
    assert mapped == {"data.path": {"x": f"{folder}/a.txt"}}
    assert path == {"data.path": f"{folder}/b, c.txt"}
    assert points("balance=switch,loss_free")["balance-loss_free"] == {
        "moe.balance": {"name": "loss_free", "speed": 0.001, "rule": "sign"}
    }
    assert points("moe_layers=[1],all")["moe_layers-1"] == {"model.moe_layers": [1]}
    assert points("grad_clip=1,null")["grad_clip-null"] == {"train.grad_clip": None}


SWEEPS = [
    ("alpha", ["0.1", "1e-3", "7"], []),
    ("capacity_factor", ["null", "1.1"], []),
    ("balance", ["switch", "{name: loss_free, speed: 0.01}", "importance"], []),
    ("router", ["{name: top_k, score: sigmoid}", "noisy_top_k"], ["top_k=2"]),
    ("router", ["top_k", "noisy_top_k"], ["top_k=2", "moe.balance.scope=sequence"]),
    ("moe.router.renormalize", ["true", "false"], ["router={name: top_k, score: sigmoid}", "top_k=2"]),
    ("extra", ["[]", "[{name: router_z, weight: 1e-3}]"], []),
    ("moe_layers", ["[0]", "all", "none"], ["lr=1e-2"]),
    ("source", ["domains", "clusters"], ["n_domains=4", "seq_len=32"]),
    ("path", ["a.txt", "{x: a.txt, y: 'b, c.txt'}"], ["source=text"]),
    ("weights", ["{x: 1, y: 2.5}", "null"], ["source=text", "path={x: a.txt, y: a.txt}"]),
    ("domain_weights", ["[1, 2, 3, 4]", "null"], ["n_domains=4"]),
    ("n_experts", ["16", "32"], ["top_k=12"]),
]  # fmt: skip


@pytest.mark.parametrize(("key", "values", "fixed"), SWEEPS)
def test_a_run_is_made_of_base_and_plan_as_it_would_be_by_hand(folder, key, values, fixed):
    grid = plan([f"{key}={','.join(values)}", *fixed])
    Path("base.yaml").write_text(grid.base.dump())
    stored = Plan.from_json(json.loads(json.dumps(grid.plan.to_json())))
    assert stored == grid.plan
    packaged = [] if key == "alpha" else ["alpha=0"]
    for value, run in zip(values, stored.runs, strict=False):  # the first seed
        by_hand = load(None, [*packaged, *fixed, f"{key}={value}", f"name={run.name}"])
        assert load("base.yaml", settings=run.settings).config == by_hand.config


NAMES = st.text("ab.-_1", min_size=1)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(NAMES, SCALARS, max_size=3)
SETTINGS = st.dictionaries(NAMES, VALUES, max_size=3)


@settings(max_examples=30)
@given(
    keys=st.lists(NAMES, max_size=3).map(tuple),
    points=st.lists(st.builds(Point, NAMES, SETTINGS), max_size=3).map(tuple),
    seeds=st.lists(st.integers(0, 2**63 - 1), max_size=3).map(tuple),
    baseline=NAMES,
    rule=st.booleans(),
)
def test_a_plan_reads_back_exactly_from_json(keys, points, seeds, baseline, rule):
    stored = Plan(keys, points, seeds, baseline, rule)
    assert Plan.from_json(json.loads(json.dumps(stored.to_json()))) == stored


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=5, unique=True))
def test_any_alphas_are_planned_exactly(alphas):
    grid = plan([f"alpha={','.join(map(repr, alphas))}"])
    assert [point.settings["moe.alpha"] for point in grid.plan.points] == alphas


def test_an_invalid_point_is_named_before_anything_starts():
    assert refusal("n_experts=2,4", "top_k=1,4") == (
        "error: point n_experts=2 top_k=4: 'moe.top_k' (4) must not exceed 'moe.n_experts' (2)\n"
        "  --> command line: top_k=1,4\n"
        "  help: use top_k <= 2, or raise n_experts"
    )


def test_an_invalid_point_of_a_file_is_shown_there(folder):
    Path("s.yaml").write_text("axes:\n  n_experts: [2, 4]\n  top_k: [1, 4]\n")
    assert refusal("s.yaml") == (
        "error: point n_experts=2 top_k=4: 'moe.top_k' (4) must not exceed 'moe.n_experts' (2)\n"
        "  --> s.yaml:3:14\n"
        "   |\n"
        " 3 |   top_k: [1, 4]\n"
        "   |              ^\n"
        "  help: use top_k <= 2, or raise n_experts (line 2)"
    )


def test_one_mistake_at_several_points_is_one_message():
    text = refusal("alpha=0,1,-1", "noise=0,1,-2")
    assert [line for line in text.splitlines() if line.startswith("error:")] == [
        "error: point alpha=0 noise=-2 and 2 more: 'moe.noise': -2 is outside [0, 1000000]",
        "error: point alpha=-1 noise=0 and 2 more: 'moe.alpha': -1 is outside [0, 1000000]",
    ]


def test_a_mistake_of_all_points_names_none():
    assert refusal("alpha", "lr=0").startswith("error: 'train.lr': 0 is outside (0, 10]\n")
    assert refusal("alpha", name="../x").startswith("error: 'name': \"../x\" is not allowed\n")


def test_invalid_points_beyond_twenty_are_counted():
    text = refusal(f"alpha={','.join(str(-i) for i in range(1, 30))},1")
    assert text.count("error:") == 20
    assert text.endswith("... and 9 more")


@pytest.mark.parametrize(
    ("texts", "remedy"),
    [
        (
            ("alpha", "balance=loss_free"),
            "or use a balancer that has one, such as balance=importance",
        ),
        (
            ("alpha=0,1", "balance=switch,loss_free"),
            "pair the two, each balancer with its own alphas: balance:alpha=loss_free:0,…",
        ),
    ],
)
def test_alpha_is_not_swept_where_it_weighs_nothing(texts, remedy):
    assert refusal(*texts) == (
        "error: 'moe.alpha' cannot be swept with the balancer 'loss_free': it has no loss to be weighed\n"
        f"  --> command line: {texts[0]}\n  help: "
        + (remedy if remedy.startswith("pair") else f"sweep another key, {remedy}")
    )
    assert len(points("balance:alpha=switch:0.1,switch:1,loss_free:0")) == 3


def test_points_that_would_train_the_same_are_refused():
    text = refusal("balance=switch,{name: switch, scope: batch}")
    assert text.startswith(
        "error: points balance=switch and balance={name: switch, scope: batch} are the same experiment\n"
    )


def test_too_many_runs_are_refused_with_the_flag_that_allows_them():
    assert refusal("alpha=lin:0:1:12", seeds="20") == (
        "error: 12 points × 20 seeds are 240 runs; the limit is 200\n"
        "  help: sweep fewer values or seeds, or allow so many: --max-runs 240"
    )
    assert len(plan(["alpha=lin:0:1:12"], seeds="20", max_runs=240).plan.runs) == 240
    assert "limit is 100,000" in refusal("alpha=lin:0:1:1000", "noise=lin:0:1:1000", max_runs=10**9)


def test_excluded_points_are_left_out_and_not_checked(folder):
    Path("s.yaml").write_text(
        "axes: {n_experts: [2, 4], top_k: [1, 4]}\nexclude:\n- {n_experts: 2, top_k: [4, 8]}\n"
        "- {top_k: 3}\n"
    )
    grid = plan(["s.yaml"])
    names = [point.name for point in grid.plan.points]
    assert names == ["n_experts-2_top_k-1", "n_experts-4_top_k-1", "n_experts-4_top_k-4"]
    warned = [warning.render("warning") for warning in grid.warnings]
    assert warned[0].startswith("warning: this excludes no point\n  --> s.yaml:4:4\n")


@pytest.mark.parametrize(
    ("exclude", "message"),
    [
        ("{alpha: [0, 1]}", "every point is excluded"),
        ("{noise: 0}", "'moe.noise' is excluded but not swept"),
    ],
)
def test_an_exclusion_must_make_sense(folder, exclude, message):
    Path("s.yaml").write_text(f"axes: {{alpha: [0, 1]}}\nexclude: [{exclude}]")
    assert refusal("s.yaml").startswith(f"error: {message}\n  --> s.yaml:2:12\n")


def test_a_sweep_file_names_its_base_and_seeds_which_the_command_line_replaces(folder):
    Path("x.yaml").write_text("name: mine\nseed: 7")
    Path("y.yaml").write_text("name: other")
    Path("s.yaml").write_text("name: filed\nbase: x.yaml\nseeds: 2\naxes: {alpha: [0, 1]}")
    grid = plan(["s.yaml"])
    assert (grid.name, grid.base.config.name, grid.plan.seeds) == ("filed", "mine", (7, 8))
    grid = plan(["s.yaml", "steps=9"], config="y.yaml", seeds="5,6", name="cli")
    assert (grid.name, grid.base.config.name, grid.plan.seeds) == ("cli", "other", (5, 6))
    assert grid.base.config.train.steps == 9


def test_a_base_that_is_missing_is_shown_where_it_is_named(folder):
    Path("s.yaml").write_text("base: x.yaml\naxes: {alpha: }")
    assert refusal("s.yaml").startswith(
        f"error: config not found: {folder}/x.yaml\n  --> s.yaml:1:7\n"
    )


def test_what_is_wrong_in_file_config_seeds_and_command_line_comes_at_once(folder):
    Path("x.yaml").write_text("seed: @")
    Path("s.yaml").write_text("base: x.yaml\naxes: {alfa: }")
    text = refusal("s.yaml", "lr", seeds="0")
    assert [line for line in text.splitlines() if "-->" in line] == [
        "  --> command line: lr",
        "  --> s.yaml:2:8",
        f"  --> {folder}/x.yaml:1:7",
        "  --> command line: --seeds 0",
    ]


@pytest.mark.parametrize(
    ("texts", "asked", "message"),
    [
        (
            ["steps=200"],
            {},
            "there is nothing to sweep\n  help: several values are written A,B; axes",
        ),
        ([], {}, "there is nothing to sweep"),
        (["a.yaml", "b.yaml"], {}, "two sweep files were given: a.yaml and b.yaml"),
        (["nope.yaml"], {}, "config not found: nope.yaml"),
        (["alpha", "noise"], {"rule": True}, "the tuning rule moves alpha alone"),
        (["name=x", "alpha"], {"name": "y"}, "'name' is given twice"),
    ],
)
def test_what_is_no_sweep_is_refused(folder, texts, asked, message):
    assert f"error: {message}" in refusal(*texts, **asked)


def test_what_the_config_warns_of_is_said_once():
    (warning,) = plan(["alpha=0,1", "warmup=500"]).warnings
    assert warning.message.startswith("'train.warmup' (500) is longer than 'train.steps' (400)")


def test_data_that_are_wrong_at_one_point_are_named_there(folder):
    Path("short.txt").write_bytes(b"x")
    text = refusal("source=text", "path=a.txt,short.txt", "alpha=0,1")
    assert text.count("error:") == 1
    assert text.startswith("error: point path=")
    assert "short.txt alpha=0 and 1 more: 'data.path': the file short.txt has 1 bytes" in text


def test_a_config_can_be_swept_that_is_complete_only_with_its_axes(folder):
    grid = plan(["path=a.txt,{x: a.txt}", "source=text"])
    assert isinstance(grid.base.config, Config)
    assert grid.plan.baseline == grid.plan.points[0].name


def test_nothing_heavy_is_imported():
    code = (
        "import sys; from moe_lab.sweep.grid import plan; plan(['alpha'])\n"
        "print([m for m in ('torch', 'pandas', 'scipy') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "[]\n"


def test_seeds_alone_repeat_a_config():
    found = plan([], seeds="5")
    assert found.name == "sweep-seeds"
    assert [(run.name, run.settings) for run in found.plan.runs][:1] == [
        ("base-s0", {"seed": 0, "name": "base-s0"})
    ]
    assert len(found.plan.runs) == 5
    assert found.plan.keys == ()


def test_one_seed_alone_is_no_sweep():
    with pytest.raises(ConfigError, match="nothing to sweep"):
        plan(["steps=200"], seeds="1")
