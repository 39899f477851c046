"""What TensorBoard's own readers make of its event files."""

import json
import struct
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import edit
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.util.tensor_util import make_ndarray

from moe_lab.exporting import export

from .conftest import Cell, all_cells, blank, many_experts

EVERYTHING = {"tensors": 0}


def reader(folder: Path) -> Any:
    found = EventAccumulator(str(folder), size_guidance=EVERYTHING)
    found.Reload()
    return found


def tag(cell: Cell) -> str:
    """`cv/train/layer_0/margin`."""
    layer = [f"layer_{cell.layer}"] if cell.layer else []
    split = [cell.split] if cell.split else []
    return "/".join([cell.table, *split, *layer, cell.column])


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def wanted(run: Path) -> dict[str, list[tuple[int, bytes]]]:
    """The points of every curve: each cell that is not blank."""
    curves: dict[str, list[tuple[int, bytes]]] = {}
    for cell in all_cells(run):
        if cell.text:
            curves.setdefault(tag(cell), []).append((int(cell.step), bits(float(cell.text))))
    return curves


def found(folder: Path) -> dict[str, list[tuple[int, bytes]]]:
    events = reader(folder)
    return {
        name: [(e.step, bits(e.tensor_proto.double_val[0])) for e in events.Tensors(name)]
        for name in events.Tags()["tensors"]
        if name != "run/settings"
    }


@pytest.mark.parametrize("which", ["schema-1/finished", "schema-2/finished", "schema-2/stopped"])
def test_every_number_is_a_point_to_the_last_bit(frozen: Path, which: str):
    folder = export([frozen / which], "tensorboard").folder
    assert found(folder / Path(which).name) == wanted(frozen / which)


def test_a_sweep_has_a_folder_of_events_for_each_run(sweep: Path):
    folder = export([sweep], "tensorboard").folder
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    assert names == ["alpha-0-s0", "alpha-0-s1", "alpha-0.1-s0", "alpha-0.1-s1"]
    for name in names:
        assert found(folder / name) == wanted(sweep / name)


def nearest(points: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """The same points as float32."""
    return [
        (step, bits(float(np.float32(struct.unpack("<d", value)[0])))) for step, value in points
    ]


def test_what_the_page_draws_is_the_nearest_float32(sweep: Path):
    folder = export([sweep], "tensorboard").folder
    multiplexer = EventMultiplexer(tensor_size_guidance=EVERYTHING)
    multiplexer.AddRunsFromDirectory(str(folder)).Reload()
    provider = MultiplexerDataProvider(multiplexer, str(folder))
    read = provider.read_scalars(
        RequestContext(), experiment_id="", plugin_name="scalars", downsample=10**6
    )
    assert len(read) == 4
    for run, curves in read.items():
        drawn = {
            name: [(point.step, bits(point.value)) for point in points]
            for name, points in curves.items()
        }
        assert drawn == {name: nearest(points) for name, points in wanted(sweep / run).items()}


def test_points_are_of_the_only_type_that_the_fast_loader_shows(run: Path):
    events = reader(export([run], "tensorboard").folder / "finished")
    points = [point for name in wanted(run) for point in events.Tensors(name)]
    assert {make_ndarray(point.tensor_proto).dtype.name for point in points} == {"float32"}


def test_blanks_are_no_points_and_nan_is_one(run: Path):
    blank(run, "cv", 0, "margin")
    blank(run, "cv", 6, "margin", "nan")
    curves = found(export([run], "tensorboard").folder / "finished")
    assert curves == wanted(run)
    assert "cv/train/layer_0/cv_kept" not in curves  # nothing was dropped: blank throughout
    assert bits(float("nan")) in [value for _, value in curves["cv/train/layer_0/margin"]]


def test_a_thousand_experts_are_curves(run: Path):
    many_experts(run, 1024)
    curves = found(export([run], "tensorboard").folder / "finished")
    assert curves == wanted(run)
    assert "utilization/eval/layer_1/expert_1023" in curves


def test_a_point_has_the_time_of_its_step_as_far_as_it_is_known(run: Path):
    edit(run / "run.json", created="2026-01-02T03:04:05+00:00")
    header = (run / "timing.csv").read_text().splitlines()[0]
    rows = ["2,10.5,1,1,1", "3,nan,1,1,1", "4,,1,1,1", "5,11.75,1,1,1"]
    (run / "timing.csv").write_text("\n".join([header, *rows, ""]))
    events = reader(export([run], "tensorboard").folder / "finished")
    start = datetime.fromisoformat("2026-01-02T03:04:05+00:00").timestamp()
    times = {e.step: e.wall_time - start for e in events.Tensors("steps/lm_loss")}
    assert times == {1: 0.0, 2: 10.5, 3: 10.5, 4: 10.5, 5: 11.75, 6: 11.75}
    assert events.Tensors("eval/lm_loss")[0].wall_time == start


def settings(folder: Path) -> str:
    (event,) = reader(folder).Tensors("run/settings")
    text: str = make_ndarray(event.tensor_proto).item().decode()
    return text


def test_the_settings_are_a_text(run: Path):
    lines = [
        line.strip()
        for line in settings(export([run], "tensorboard").folder / "finished").splitlines()
    ]
    assert {"moe.alpha: 0.01", "moe.n_experts: 3", "data.source: domains", "seed: 0"} < set(lines)


def as_html(text: str) -> str:
    """What the page of TensorBoard shows."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "html5lib's sanitizer is deprecated", DeprecationWarning)
        from tensorboard.plugins.text.text_plugin import text_array_to_html
    html: str = text_array_to_html(np.array(text.encode()), enable_markdown=True)
    return html


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "x\n\n<img src=x onerror=alert(1)>",
        "[click](javascript:alert(1))",
        "`</code></pre><b>`",
    ],
)
def test_nothing_in_the_settings_is_markup(run: Path, hostile: str):
    stored = json.loads((run / "run.json").read_text())["config"]
    edit(run / "run.json", config={**stored, "name": hostile})
    text = settings(export([run], "tensorboard").folder / "finished")
    html = as_html(text)
    assert html.startswith("<pre><code>")
    assert html.rstrip().endswith("</code></pre>")
    inside = html.removeprefix("<pre><code>").rstrip().removesuffix("</code></pre>")
    assert "<" not in inside


@pytest.mark.parametrize("name", ["<script>", "a b%20", "..x", "ä\n"])
def test_the_folder_of_a_run_is_plain_whatever_the_run_is_called(run: Path, name: str):
    moved = run.rename(run.with_name(name))
    folder = export([moved], "tensorboard").folder
    (made,) = (path for path in folder.iterdir() if path.is_dir())
    assert set(made.name) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%._-~"
    )
    assert found(made) == wanted(moved)
