"""How pages look in a real browser: `make browser` installs it, and without it these tests are skipped."""

from pathlib import Path
from typing import Any

import pytest

from .conftest import SIZES, opened, press

pytestmark = pytest.mark.browser

NARROW = 400


@pytest.mark.parametrize("name", ["run", "sweep"])
def test_a_narrow_page_does_not_scroll_sideways(driver: Any, pages: dict[str, Path], name: str):
    opened(driver, pages[name], width=NARROW)
    wider = driver.execute_script(
        """
        const root = document.documentElement;
        const beyond = [...document.querySelectorAll("body *")]
          .filter(e => !e.closest(".scroll, pre") && e.getBoundingClientRect().right > root.clientWidth);
        return root.scrollWidth > root.clientWidth
          ? [root.scrollWidth, root.clientWidth, ...beyond.map(e => e.outerHTML.slice(0, 150))] : [];
        """
    )
    assert not wider


def test_figures_are_drawn_anew_where_fewer_columns_fit(driver: Any, pages: dict[str, Path]):
    opened(driver, pages["run"])
    columns = "return [...document.querySelectorAll('figure')].map(f => Number(f.dataset.columns))"
    wide = driver.execute_script(columns)
    size = {"width": NARROW, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.execute_async_script(
        """
        const done = arguments[0];
        const look = () => [...document.querySelectorAll("figure")].every(f => f.dataset.columns <= 1)
          ? done() : setTimeout(look, 50);
        look();
        """
    )
    assert max(wide) > 1
    assert all(number for _, number in driver.execute_script(SIZES))


def test_dark_changes_page_and_figures_by_css_and_print_is_light(
    driver: Any, pages: dict[str, Path]
):
    colours = """
    const of = (selector, name) => getComputedStyle(document.querySelector(selector))[name];
    return [of("body", "backgroundColor"), of("body", "color"), of(".plot [fill='#24292f']", "fill")];
    """
    light = opened(driver, pages["sweep"]).execute_script(colours)
    drawn = "return document.querySelector('figure svg').outerHTML"
    before = driver.execute_script(drawn)
    driver.find_element("id", "theme").click()
    dark = driver.execute_script(colours)
    assert all(a != b for a, b in zip(light, dark, strict=True))
    assert driver.execute_script(drawn) == before
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert driver.execute_script(colours) == light
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert opened(driver, pages["sweep"], scheme="dark").execute_script(colours) == dark


def test_text_has_contrast_in_the_light_and_in_the_dark(driver: Any, pages: dict[str, Path]):
    pairs = """
    const rgb = text => {
      const c = Object.assign(document.createElement("canvas").getContext("2d"), {fillStyle: text});
      c.fillRect(0, 0, 1, 1);
      return [...c.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
      .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const paper = light(rgb(getComputedStyle(document.body).backgroundColor));
    const tags = "p, td, th, dt, dd, h1, h2, h3, a, button, summary, figcaption, .badge";
    return [...document.querySelectorAll(tags)].filter(w => w.innerText).map(word => {
      const ink = light(rgb(getComputedStyle(word).color));
      return [word.innerText.slice(0, 40), (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05)];
    });
    """
    for scheme in ("light", "dark"):
        found = opened(driver, pages["sweep"], scheme=scheme).execute_script(pairs)
        assert found
        assert not [(word, ratio) for word, ratio in found if ratio < 4.5]


def test_everything_is_reached_by_the_keyboard_and_shows_that_it_is(sweep_page: Any):
    first = sweep_page.execute_script(
        "document.activeElement.blur(); return document.querySelector('a, button, [tabindex]').className"
    )
    assert first == "skip"
    deaf = sweep_page.execute_script(
        """
        return [...document.querySelectorAll("button, summary, tr[aria-selected], .scroll, a")]
          .filter(e => e.checkVisibility() && e.tabIndex < 0).map(e => e.outerHTML.slice(0, 80));
        """
    )
    assert not deaf
    row = sweep_page.find_element("css selector", "tr[data-run='alpha-0-s0']")
    press(sweep_page, row, "\ue004")  # tab: the next row
    outline = sweep_page.execute_script(
        "const a = document.activeElement; return [a.dataset.run, getComputedStyle(a).outlineStyle]"
    )
    assert outline == ["alpha-0-s1", "solid"]
