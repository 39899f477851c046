import json
import re
import unicodedata
from pathlib import Path

import pytest
from conftest import TrainRun, edit

from moe_lab import page
from moe_lab.errors import ArtefactError, ConfigError
from moe_lab.page import definitions
from moe_lab.page.page import data

from .conftest import Element, by_id, of_run, of_sweep, parsed

MARKUP = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "{{7*7}} {% raw %}",
    "\"'><b>",
    "</textarea></style><!--",
    "&lt;&#60;",
)
INVISIBLE = "\x1b[2J\u202egnp.exe\u2028\x00\u2066"
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)


@pytest.fixture(scope="module")
def of_swept(swept: Path) -> Element:
    return parsed(of_sweep(swept))


@pytest.fixture(scope="module")
def of_finished(finished: Path) -> Element:
    return parsed(of_run(finished))


# No outside source, no markup of others


def test_the_policy_allows_nothing_but_what_the_file_holds(of_swept: Element):
    (policy,) = [m for m in of_swept.all("meta") if "http-equiv" in m.attributes]
    assert policy.attributes == {"http-equiv": "Content-Security-Policy", "content": POLICY}


def test_nothing_is_loaded_and_no_link_leads_out(of_swept: Element, of_finished: Element):
    for root in (of_swept, of_finished):
        tags = {
            e.tag for tag in ("img", "iframe", "object", "form", "video") for e in root.all(tag)
        }
        assert not tags
        links = [e.attributes["href"] for tag in ("a", "link") for e in root.all(tag)]
        assert all(link and link.startswith(("#", "data:,")) for link in links)
        assert not [script for script in root.all("script") if "src" in script.attributes]


def test_what_others_wrote_is_text_wherever_it_stands(copied: Path):
    host = {"system": "plain", "cores": 2, "cpu_capability": None, "gpu": None}
    edit(copied / "run.json", command=["moe-lab"] * len(MARKUP), host=host)
    benign = parsed(of_run(copied))
    edit(copied / "run.json", command=list(MARKUP), host={**host, "system": " ".join(MARKUP)})
    hostile = parsed(of_run(copied))
    assert hostile.shape == benign.shape
    assert " ".join(MARKUP) in hostile.text


@pytest.mark.parametrize("name", ["<script>alert(1)<", "{{7*7}}", "\"onload='x'", "a&lt;b"])
def test_the_name_of_a_folder_is_text(copied: Path, name: str):
    root = parsed(of_run(copied.rename(copied.with_name(name))))
    assert root.all("h1")[0].text == name
    assert name in root.all("title")[0].text


def test_what_cannot_be_seen_is_shown_as_its_escape(copied: Path):
    edit(copied / "run.json", command=["moe-lab", INVISIBLE])
    html = of_run(copied)
    kinds = {unicodedata.category(c) for c in html if c != "\n"}
    assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert r"\x1b[2J\u202egnp.exe\u2028\x00\u2066" in html


@pytest.mark.parametrize("text", ["</script>", "<!--", "a & b", "\u2028\u2029", "é"])
def test_json_in_a_script_holds_no_character_of_markup_and_reads_back(text: str):
    written = str(data({"key": text}))
    assert not set(written) & set("<>&\u2028\u2029")
    assert json.loads(written) == {"key": text}


def test_no_folder_of_this_machine_is_named(copied: Path, tmp_path: Path):
    edit(copied / "run.json", command=["moe-lab", "train", f"{tmp_path}/mine/c.yaml"])
    html = of_run(copied)
    assert str(tmp_path) not in html
    assert "moe-lab train …/c.yaml" in html


# What is there


def test_the_verdict_comes_first_as_a_word_with_a_shape(of_finished: Element):
    header = of_finished.all("header")[0]
    (badge,) = [e for e in header.all("span") if "badge" in (e.attributes.get("class") or "")]
    word, shape = badge.attributes["class"].removeprefix("badge "), badge.all("span")[0].text
    assert word in ("collapsed", "skewed", "balanced")
    assert badge.text.split() == [shape + word]


def test_runs_of_a_sweep_are_counted_by_verdict(of_swept: Element):
    badges = [e for e in of_swept.all("span") if "badge" in (e.attributes.get("class") or "")]
    assert sum(int(badge.all("b")[0].text) for badge in badges) == 15


def test_every_point_and_every_run_of_a_sweep_can_be_chosen(of_swept: Element):
    points, rows = (by_id(of_swept, f"table-{name}").all("tr") for name in ("key", "runs"))
    chosen = [
        (r.attributes["data-point"], r.attributes["data-run"]) for r in (*points[1:], *rows[1:])
    ]
    alphas = ("0", "0.001", "0.01", "0.1", "1")
    assert chosen == [
        *((f"alpha-{alpha}", "") for alpha in alphas),
        *((f"alpha-{alpha}", f"alpha-{alpha}-s{seed}") for alpha in alphas for seed in range(3)),
    ]
    assert all(row.attributes["aria-selected"] == "false" for row in (*points[1:], *rows[1:]))


def test_every_number_in_the_tables_of_results_is_defined(of_swept: Element, of_finished: Element):
    for root in (of_swept, of_finished):
        defined = {
            e.attributes["data-defines"] for e in root.all("tr") if "data-defines" in e.attributes
        }
        tables = [by_id(root, "table-key"), *root.all("div", id="table-runs")]
        heads = [head for table in tables for head in table.all("th", scope="col") if head.text]
        assert {head.attributes["data-column"] for head in heads} <= defined


def test_every_measure_of_a_layer_is_defined(of_finished: Element):
    defined = {e.attributes.get("data-defines") for e in of_finished.all("tr")}
    sheets = [
        sheet
        for sheet in by_id(of_finished, "numbers").all("div")
        if sheet.all("th") and sheet.all("th")[0].text in ("balance per layer", "router per layer")
    ]
    assert len(sheets) == 4  # each in the box that scrolls, and in that of its buttons
    assert {row.text for sheet in sheets for row in sheet.all("th", scope="row")} <= defined


def test_every_formula_is_of_a_number_that_is_defined():
    groups = definitions.groups(("moe.alpha",))
    assert definitions.FORMULAS.keys() <= {c.name for group in groups for c in group.columns}


def test_settings_that_are_not_at_their_default_are_told_with_the_default(of_finished: Element):
    rows = by_id(of_finished, "table-chosen").all("tr")
    told = [[cell.text for cell in row.inside] for row in rows]
    assert ["train.steps", "10", "400"] in told
    assert not [row for row in told if row[0] == "moe.top_k"]


def test_settings_in_which_runs_differ_have_a_column_for_each(train_run: TrainRun):
    found = [train_run("name=a", "alpha=0"), train_run("name=b", "alpha=1")]
    root = parsed(of_run(*found))
    rows = [[c.text for c in row.inside] for row in by_id(root, "table-differences").all("tr")]
    assert rows == [["setting", "a", "b"], ["moe.alpha", "0", "1"]]
    rows = by_id(root, "table-runs").all("tr")[1:]
    assert [row.attributes["data-run"] for row in rows] == ["a", "b"]


def test_the_commands_that_make_a_run_again_are_there(of_finished: Element):
    told = by_id(of_finished, "commands").text
    assert "moe-lab train small/resolved.yaml" in told
    assert "moe-lab report small --html" in told


def test_every_figure_has_its_definition_and_a_caption(of_finished: Element):
    figures = of_finished.all("figure")
    assert figures
    for figure in figures:
        (script,) = figure.all("script", type="application/json")
        assert json.loads(script.text)["$schema"].startswith(
            "https://vega.github.io/schema/vega-lite"
        )
        assert figure.all("figcaption")[0].text


def test_anchors_are_unique_and_the_contents_lead_to_them(of_swept: Element):
    tags = ("main", "section", "div", "figure", "p", "script", "button")
    names = [e.attributes["id"] for tag in tags for e in of_swept.all(tag) if "id" in e.attributes]
    assert len(names) == len(set(names))
    assert {link.attributes["href"] for link in of_swept.all("a")} <= {f"#{name}" for name in names}


# The whole


def test_the_same_runs_give_the_same_page(finished: Path, swept: Path):
    assert of_run(finished) == of_run(finished)
    assert of_sweep(swept) == of_sweep(swept)


def test_the_page_of_fifteen_runs_holds_vega_and_is_below_three_megabytes(swept: Path):
    html = page.build([swept])
    assert len(html.encode()) < 3_000_000
    assert "window.vegaEmbed=" in html
    assert html.index('name="generator" content="moe-lab') < 1000
    parsed(html)


def test_what_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(ArtefactError, match="is not a moe-lab run"):
        page.build([tmp_path])


def test_a_sweep_beside_a_run_is_refused(swept: Path, finished: Path):
    with pytest.raises(ConfigError, match="a sweep is reported by itself"):
        page.build([swept, finished])


def test_colours_of_the_page_that_figures_use_are_replaced_by_css():
    assert re.search(
        r'\.plot \[fill="\{\{ colour \}\}"\]', (page.page.HERE / "page.html.j2").read_text()
    )
