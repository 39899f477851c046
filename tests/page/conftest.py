"""A sweep of fifteen small runs, its page and others taken apart, and in a real browser."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, small

from moe_lab import page
from moe_lab.page import runs, sweep

VOID = ("meta", "link", "br")
ALPHAS = "alpha=0,0.001,0.01,0.1,1"
WIDE = 1280
SECONDS = 60  # to wait for figures, at most
SIZES = """
return [...document.querySelectorAll("figure")].map(figure => [figure.dataset.name,
  [...figure.querySelectorAll("svg [class*='mark-'] > *")].filter(mark => {
    const {width, height} = mark.getBoundingClientRect();
    return mark.closest("[class*='role-mark']") && width + height > 0;
  }).length]);
"""


@dataclass
class Element:
    """An element of a page, with all text inside it."""

    tag: str
    attributes: dict[str, str | None]
    text: str = ""
    inside: list["Element"] = field(default_factory=list)

    def all(self, tag: str, **wanted: str) -> list["Element"]:
        """Elements at any depth, with attributes of these values."""
        found = [e for child in self.inside for e in (child, *child.all(tag, **wanted))]
        return [e for e in found if e.tag == tag and wanted.items() <= e.attributes.items()]

    @property
    def shape(self) -> tuple[object, ...]:
        """Tags and names of attributes, without any text."""
        return (self.tag, tuple(self.attributes), tuple(child.shape for child in self.inside))


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("page", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self.open[-1].inside.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> ends <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def parsed(html: str) -> Element:
    """A page whose elements are all closed in their order."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    assert len(parser.open) == 1, f"<{parser.open[-1].tag}> is not closed"
    return parser.open[0]


def of_run(*directories: Path) -> str:
    return runs.page(directories).html("")


def of_sweep(directory: Path) -> str:
    return sweep.page(directory, margin=0.01, times=False).html("")


def by_id(root: Element, name: str) -> Element:
    (found,) = [e for tag in ("div", "section") for e in root.all(tag, id=name)]
    return found


@pytest.fixture(scope="session")
def swept(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five alphas at three seeds, to be read and not to be changed."""
    runs = tmp_path_factory.mktemp("swept")
    settings = small("steps=20", "eval.every=10", "router_grad_every=10")
    done = cli("sweep", ALPHAS, "--seeds", "3", *settings, "--runs-dir", runs)
    assert done.exit_code == 0, done.stderr
    return runs / "sweep-alpha"


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """The small finished run, in a place where it may be changed."""
    return shutil.copytree(finished, tmp_path / "small")


@pytest.fixture(scope="session")
def driver() -> Iterator[Any]:
    """Chromium without a window and without a network."""
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        pytest.skip("no chromium and chromedriver here: make browser")
    chrome = pytest.importorskip(
        "selenium.webdriver.chrome.webdriver",
        reason="no selenium here: make browser",
        exc_type=ImportError,
    )
    from selenium.webdriver import ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = programs[0]
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = chrome.WebDriver(options=options, service=Service(programs[1]))
    started.set_script_timeout(SECONDS)
    started.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    started.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    yield started
    started.quit()


@pytest.fixture(scope="session")
def pages(cli: Cli, swept: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files of three pages: a run with everything that can be drawn, two runs, and a sweep of fifteen."""
    folder = tmp_path_factory.mktemp("pages")
    settings = (
        "name=one",
        "steps=60",
        "top_k=2",
        "capacity_factor=1.0",
        "eval.every=20",
        "router_grad_every=10",
    )
    done = cli("train", *small(*settings), "--runs-dir", folder)
    assert done.exit_code == 0, done.stderr
    asked = {
        "run": [folder / "one"],
        "runs": [swept / "alpha-0-s0", swept / "alpha-1-s0"],
        "sweep": [swept],
    }
    made = {name: folder / f"{name}.html" for name in asked}
    for name, directories in asked.items():
        made[name].write_text(page.build(directories), encoding="utf-8")
    return made


def opened(driver: Any, path: Path, *, width: int = WIDE, scheme: str = "light") -> Any:
    """A page whose figures are all drawn."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    for kind in ("browser", "performance"):
        driver.get_log(kind)  # of what was open before
    driver.get(path.as_uri())
    ended = driver.execute_async_script(
        "const done = arguments[0]; moeLab.ready.then(() => done(''), error => done(String(error.stack)))"
    )
    assert not ended, ended
    return driver


@pytest.fixture
def sweep_page(driver: Any, pages: dict[str, Path]) -> Any:
    return opened(driver, pages["sweep"])


def press(driver: Any, element: Any, key: str) -> None:
    """A key as the keyboard sends it, to what has the focus."""
    driver.execute_script("arguments[0].focus()", element)
    driver.switch_to.active_element.send_keys(key)
