import stat
from pathlib import Path
from xml.etree import ElementTree

import altair as alt
import pandas as pd
import pytest

from moe_lab.errors import StorageError
from moe_lab.figures import files
from moe_lab.figures.base import Figure

SVG = "{http://www.w3.org/2000/svg}"
BEGINS = {"svg": b"<svg", "pdf": b"%PDF-", "png": b"\x89PNG\r\n"}


@pytest.fixture(scope="module")
def points() -> Figure:
    chart = alt.Chart(pd.DataFrame({"x": [1, 2, 3], "y": [2, 1, 3]})).mark_point()
    return Figure("points", "Points & <lines>", "Three.", chart.encode(x="x:Q", y="y:Q"))


@pytest.mark.parametrize("format", BEGINS)
def test_a_file_is_of_its_format_and_replaces_an_older_one(
    points: Figure, format: files.Format, tmp_path: Path
):
    (tmp_path / f"points.{format}").write_bytes(b"older")
    path = files.write(points, tmp_path, format)
    assert path == tmp_path / f"points.{format}"
    assert path.read_bytes().startswith(BEGINS[format])
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_every_datum_is_drawn_and_the_picture_has_a_title(points: Figure):
    root = ElementTree.fromstring(files.rendered(points, "svg"))
    marks = [g for g in root.iter(f"{SVG}g") if "mark-symbol" in g.get("class", "")]
    assert [len(list(group)) for group in marks] == [3]
    assert root.findtext(f"{SVG}title") == "Points & <lines>. Three."


def test_a_folder_is_made_and_one_that_cannot_be_is_named(points: Figure, tmp_path: Path):
    assert files.write(points, tmp_path / "a" / "b", "svg").is_file()
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        files.write(points, tmp_path / "file", "svg")


def test_a_definition_that_asks_for_the_network_gets_nothing():
    chart = alt.Chart("https://example.com/data.json").mark_point().encode(x="x:Q")
    with pytest.raises(ValueError, match="External data url not allowed"):
        files.rendered(Figure("far", "Far", "", chart), "svg")


def test_marks_that_only_a_pointer_finds_are_in_no_file():
    data = pd.DataFrame({"x": [1, 2, 3], "y": [2, 1, 3]})
    felt = alt.Chart(data).mark_point(opacity=0).encode(x="x:Q", y="y:Q")
    faint = alt.Chart(data).mark_point(fillOpacity=0, filled=True).encode(x="x:Q", y="y:Q")
    for chart, marks in ((felt, 0), (faint, 3)):
        root = ElementTree.fromstring(files.rendered(Figure("f", "F", "", chart), "svg"))
        (group,) = (g for g in root.iter(f"{SVG}g") if "mark-symbol" in g.get("class", ""))
        assert len(list(group)) == marks
