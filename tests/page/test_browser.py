"""Pages in a real browser: `make browser` installs it, and without it these tests are skipped."""

from pathlib import Path
from typing import Any

import pytest

from .conftest import SIZES, opened, press

pytestmark = pytest.mark.browser

# of each figure that has marks of runs: how many are as opaque as at first, and how many are fainter
FAINT = """
const found = {};
for (const [name, view] of moeLab.views) {
  const marks = [];
  const walk = item => {
    if (item.datum?.run && item.opacity !== undefined) marks.push([item.datum.run, item.opacity]);
    for (const inner of item.items ?? []) walk(inner);
  };
  walk(view.scenegraph().root);
  if (marks.length) found[name] = marks;
}
return found;
"""


def column(driver: Any, table: str, name: str) -> list[str]:
    """The cells under a header."""
    return driver.execute_script(
        """
        const heads = [...document.querySelectorAll(`#table-${arguments[0]} thead th`)];
        const place = heads.findIndex(head => head.innerText.trim() === arguments[1]);
        return [...document.querySelectorAll(`#table-${arguments[0]} tbody tr`)].map(row => row.cells[place].innerText);
        """,
        table,
        name,
    )


def head(driver: Any, table: str, name: str) -> Any:
    return driver.find_element(
        "xpath", f"//*[@id='table-{table}']//th[button[normalize-space()='{name}']]"
    )


def settled(driver: Any) -> dict[str, Any]:
    """Opacity of marks by figure, once every figure has answered."""
    driver.execute_async_script(
        "const done = arguments[0]; Promise.all([...moeLab.views.values()].map(v => v.runAsync())).then(() => done())"
    )
    return driver.execute_script(FAINT)


@pytest.mark.parametrize("name", ["run", "runs", "sweep"])
def test_a_page_draws_every_figure_without_an_error_or_a_request(
    driver: Any, pages: dict[str, Path], name: str
):
    opened(driver, pages[name])
    marks = dict(driver.execute_script(SIZES))
    assert marks
    assert all(marks.values()), [figure for figure, number in marks.items() if not number]
    errors = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert not errors
    asked = [
        entry["message"]
        for entry in driver.get_log("performance")
        if 'requestWillBeSent"' in entry["message"]
    ]
    assert all(f'"url":"{pages[name].as_uri()}"' in message for message in asked), asked
    assert len(asked) <= 1


def test_every_figure_is_an_image_with_its_description(sweep_page: Any):
    for svg in sweep_page.find_elements("css selector", "figure svg.marks"):
        assert svg.get_attribute("role") == "img"
        assert len(svg.get_attribute("aria-label")) > 20


def test_a_table_is_sorted_by_numbers_both_ways_by_click_and_by_key(sweep_page: Any):
    gaps = head(sweep_page, "key", "gap")
    gaps.find_element("tag name", "button").click()
    means = [float(cell.split()[0]) for cell in column(sweep_page, "key", "gap")]
    assert means == sorted(means)
    assert gaps.get_attribute("aria-sort") == "ascending"
    press(sweep_page, gaps.find_element("tag name", "button"), "\ue007")
    assert [float(cell.split()[0]) for cell in column(sweep_page, "key", "gap")] == sorted(means)[
        ::-1
    ]
    assert gaps.get_attribute("aria-sort") == "descending"


def test_what_is_not_known_is_sorted_last_both_ways(sweep_page: Any):
    differences = head(sweep_page, "key", "lower").find_element("tag name", "button")
    for _ in range(2):
        differences.click()
        assert column(sweep_page, "key", "lower")[-1] == "-"


@pytest.mark.parametrize("key", ["\ue007", " "])
def test_a_run_chosen_by_key_stands_out_in_every_figure_until_escape(sweep_page: Any, key: str):
    before = settled(sweep_page)
    assert before
    row = sweep_page.find_element("css selector", "tr[data-run='alpha-1-s0']")
    press(sweep_page, row, key)
    assert row.get_attribute("aria-selected") == "true"
    after = settled(sweep_page)
    for name, marks in before.items():
        for (run, first), (_, then) in zip(marks, after[name], strict=True):
            assert then >= first if run == "alpha-1-s0" else then < first, (name, run)
    press(sweep_page, row, "\ue00c")
    assert row.get_attribute("aria-selected") == "false"
    assert settled(sweep_page) == before


def test_the_same_row_again_ends_the_highlight(sweep_page: Any):
    row = sweep_page.find_element("css selector", "tr[data-run='alpha-0-s1']")
    sweep_page.execute_script(
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", row
    )
    for expected in ("true", "false"):
        row.click()
        assert row.get_attribute("aria-selected") == expected


def test_a_point_is_chosen_without_a_run(sweep_page: Any):
    row = sweep_page.find_element("css selector", "#table-key tr[data-point='alpha-0.1']")
    row.click()
    signals = sweep_page.execute_script(
        "return [...moeLab.views.values()].map(v => [v.signal('chosen_run'), v.signal('chosen_point')])"
    )
    assert signals
    assert all(pair == [None, "alpha-0.1"] for pair in signals)
    row.click()


@pytest.mark.parametrize(
    ("button", "begins"), [("csv", ",alpha,n,"), ("markdown", "|  | alpha | n |")]
)
def test_a_table_is_copied(sweep_page: Any, button: str, begins: str):
    copied = sweep_page.execute_async_script(
        """
        const done = arguments[1];
        navigator.clipboard.writeText = text => { done(text); return Promise.resolve(); };
        document.querySelector(`#table-key .copy [data-as=${arguments[0]}]`).click();
        """,
        button,
    )
    assert copied.startswith(begins)
    assert len(copied.strip().splitlines()) == (6 if button == "csv" else 7)


def test_a_table_is_copied_where_there_is_no_clipboard(sweep_page: Any):
    sweep_page.execute_script(
        """
        Object.defineProperty(navigator, "clipboard", {value: undefined, configurable: true});
        document.addEventListener("copy", () => { window.heard = document.activeElement.value; });
        """
    )
    sweep_page.find_element("css selector", "#table-key .copy [data-as=csv]").click()
    assert sweep_page.execute_script("return window.heard").startswith(",alpha,n,")
    assert sweep_page.find_element("id", "toast").text == "Copied"


@pytest.mark.parametrize("kind", ["svg", "png", "csv"])
def test_a_figure_is_saved(sweep_page: Any, kind: str):
    name, href = sweep_page.execute_async_script(
        """
        const done = arguments[1];
        HTMLAnchorElement.prototype.click = function () { done([this.download, this.href]); };
        document.querySelector(`figure .save [data-as=${arguments[0]}]`).click();
        """,
        kind,
    )
    assert name.endswith(f".{kind}")
    assert href.startswith("data:image/png" if kind == "png" else ("blob:", "data:"))
