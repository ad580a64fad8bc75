"""A run's report in a real Chromium: it sorts, filters and opens samples, fits a phone, prints, and obeys no row."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tunesmith.report.run_write import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
    pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash to hand it its pipes"),
]
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --remote-debugging-pipe"
)
PATIENCE = 120
HOSTILE = (
    "<script>window.hit=1</script></script><img src=http://localhost:9/x onerror=window.hit=1>\x00\u202eabc \ud83d"
)


class Browser:
    """One tab, told what to do over the pipes of Chromium's DevTools protocol."""

    def __init__(self, folder: Path) -> None:
        (its_in, write), (read, its_out) = os.pipe(), os.pipe()
        # above 9, so that none of them is 3 or 4, where Chromium looks for them
        self.read, self.write, its_in, its_out = (self._moved(end) for end in (read, write, its_in, its_out))
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$0" {FLAGS} "$@" 3<&{its_in} 4>&{its_out}', CHROMIUM, f"--user-data-dir={folder}"],
            pass_fds=(its_in, its_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(its_in)
        os.close(its_out)
        self.buffer, self.number, self.requests = b"", 0, list[str]()
        self.session: str | None = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.send("Page.enable")
        self.send("Network.enable")

    @staticmethod
    def _moved(end: int) -> int:
        moved = fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10)
        os.close(end)
        return moved

    def send(self, method: str, **params: Any) -> Any:
        """Call a method and wait for its result; requests of the page are noted meanwhile."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + PATIENCE
        while True:
            while b"\0" not in self.buffer:
                assert select.select([self.read], [], [], max(0, end - time.monotonic()))[0], f"no answer to {method}"
                got = os.read(self.read, 2**20)
                assert got, "Chromium ended"
                self.buffer += got
            line, _, self.buffer = self.buffer.partition(b"\0")
            said = json.loads(line)
            if said.get("method") == "Network.requestWillBeSent":
                self.requests.append(said["params"]["request"]["url"])
            if said.get("id") == self.number:
                assert "error" not in said, said
                return said["result"]

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def open(self, file: Path, width: int = 1000) -> None:
        """Load a page and wait until it is whole."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
        )
        self.requests.clear()
        self.send("Page.navigate", url=file.as_uri())
        end = time.monotonic() + PATIENCE
        while self.run("document.readyState + location.href") != "complete" + file.as_uri():
            assert time.monotonic() < end
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        """Press the mouse in the middle of an element."""
        find = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{find}.scrollIntoView({{block: 'center'}})")
        box = self.run(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({find}.getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def choose(self, selector: str, value: str) -> None:
        """Choose an option."""
        find = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{find}.value = {json.dumps(value)}; {find}.dispatchEvent(new Event('input', {{bubbles: true}}))")

    def shown(self) -> list[str]:
        """The ids of the rows that are shown, in order."""
        rows = "[...document.querySelectorAll('.sample')].filter(e => e.checkVisibility())"
        where = self.run(f"{rows}.map(e => e.querySelector('.where').textContent)")
        return [text.removeprefix("row ").split(",")[0] for text in where]

    def column(self, table: str, at: int) -> list[str]:
        """The texts of a table's column."""
        return list(self.run(f"[...document.querySelectorAll('{table} tbody tr')].map(r => r.cells[{at}].innerText)"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A Chromium for all tests of this file."""
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.process.terminate()
    browser.process.wait(30)
    os.close(browser.read)
    os.close(browser.write)


@pytest.fixture
def report(make_run: Callable[..., Path], predicted: Callable[..., dict[str, Any]]) -> Path:
    """The report of 30 rows: row 0 got worst, row 29 best; rows of ward b are every third."""
    rows = [predicted(str(at), at / 30, 0.5, columns={"ward": "b" if at % 3 == 0 else "a"}) for at in range(30)]
    plain = {"higher_is_better": False, "n": 30, "change": "same"}
    more = {
        "a/ten": {**plain, "tuned": 10.0, "base": 9.0, "difference": 1.0},
        "a/none": {**plain, "tuned": None, "base": None, "difference": None},
    }
    return write_report(make_run(rows, metrics={"metrics": more}))


def test_a_click_on_a_heading_sorts_by_number_and_a_second_one_the_other_way(browser: Browser, report: Path) -> None:
    browser.open(report)
    assert browser.column("#metrics + figure + div", 2)[:2] == ["0.800", "0.200"]
    for expected, sort in ((["0.200", "0.800", "10"], "ascending"), (["10", "0.800", "0.200"], "descending")):
        browser.click("#metrics + figure + div th:nth-child(3) button")
        assert browser.column("#metrics + figure + div", 2) == [
            *expected,
            "\N{EN DASH}",
        ]  # no value: at the end either way
        assert browser.run("document.querySelector('#metrics + figure + div th:nth-child(3)').ariaSort") == sort
    browser.click("#metrics + figure + div th:nth-child(1) button")
    assert browser.column("#metrics + figure + div", 0) == ["a/none", "a/ten", "f1/score", "slow/steps"]


def test_rows_are_filtered_and_ordered(browser: Browser, report: Path) -> None:
    browser.open(report)
    best_first = [str(at) for at in reversed(range(30))]
    assert browser.shown() == best_first[:20]
    assert browser.run("document.getElementById('rows-shown').textContent") == "20 of 30 rows that match"
    browser.click("#more-rows")
    assert browser.shown() == best_first
    browser.choose("#by-order", "worse")
    assert browser.shown() == [str(at) for at in range(20)]
    browser.choose("#by-change", "same")
    assert browser.shown() == ["15"]
    browser.choose("#by-change", "better")
    browser.choose("#by-facet", "ward: b")
    assert browser.shown() == ["18", "21", "24", "27"]
    browser.run("document.getElementById('by-text').focus()")
    browser.send("Input.insertText", text="PUMP 27")
    assert browser.shown() == ["27"]
    browser.choose("#by-metric", "slow/steps")
    assert browser.run("document.querySelector('.sample:not([hidden]) .change').textContent") == "better by 0.400"


def test_rows_are_chosen_by_a_value_with_spaces_and_signs(
    browser: Browser, make_run: Callable[..., Path], predicted: Callable[..., dict[str, Any]]
) -> None:
    wards = [' 3  "b" & <c>\n', "plain"]
    rows = [predicted(str(at), at / 9, 0.5, columns={"ward": wards[at % 2]}) for at in range(8)]
    browser.open(write_report(make_run(rows)))
    chosen = browser.run("[...document.getElementById('by-facet').options].findIndex(o => o.text.includes('b'))")
    browser.run(
        f"(f => {{ f.selectedIndex = {chosen}; f.dispatchEvent(new Event('input')) }})"
        "(document.getElementById('by-facet'))"
    )
    assert browser.shown() == ["6", "4", "2", "0"]


def test_a_click_opens_a_sample_with_differences_inside_the_text(browser: Browser, report: Path) -> None:
    browser.open(report)
    browser.click(".sample:nth-child(2) summary")
    assert browser.run("document.querySelector('.sample:nth-child(2)').open")
    inside = "document.querySelector('.sample:nth-child(2)')"
    assert browser.run(f"{inside}.querySelector('ins').checkVisibility()")
    said = browser.run(f"{inside}.querySelector('ins').parentElement.innerHTML")
    assert said == "the pump 28 is <del>hot</del><ins>cold </ins>and must stop"
    browser.click(".sample:nth-child(2) summary")
    assert not browser.run("document.querySelector('.sample:nth-child(2)').open")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_an_evaluator_points_at_is_marked_inside_the_answer(
    browser: Browser, make_run: Callable[..., Path], predicted: Callable[..., dict[str, Any]], scheme: str
) -> None:
    mark = {"what": "invented", "kind": "<b>", "start": 9, "end": 10, "where": "output"}
    browser.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.open(write_report(make_run([predicted("7", 0.9, 0.1, tuned={"marks": {"ground": [mark]}})])))
    found = "document.querySelector('.sample mark')"
    assert browser.run(f"[{found}.textContent, {found}.title]") == ["7", "ground: invented <b>"]
    assert browser.run(f"{found}.checkVisibility()")
    colours = [browser.run(f"getComputedStyle({where}).backgroundColor") for where in (found, f"{found}.parentElement")]
    assert colours[0] != colours[1]
    assert browser.run(f"getComputedStyle({found}).color === getComputedStyle({found}.parentElement).color")
    assert browser.run("document.querySelector('.sample .point').innerText") == "ground: invented <b>: 7"
    browser.send("Emulation.setEmulatedMedia", features=[])


@pytest.mark.parametrize("width", [360, 1000])
def test_a_phone_and_a_desk_show_all_of_it_without_moving_sideways(browser: Browser, report: Path, width: int) -> None:
    browser.open(report, width=width)
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("[...document.querySelectorAll('.scroll')].every(e => e.scrollWidth <= e.clientWidth)")
    small = "[...document.querySelectorAll('main *')].filter(e => parseFloat(getComputedStyle(e).fontSize) < 11.5)"
    assert browser.run(f"{small}.length") == 0


def test_it_prints_without_controls_and_is_read_without_script(browser: Browser, report: Path) -> None:
    browser.open(report)
    pdf = base64.b64decode(browser.send("Page.printToPDF")["data"])
    assert pdf.startswith(b"%PDF")
    browser.send("Emulation.setEmulatedMedia", media="print")
    assert not browser.run("document.getElementById('row-controls').checkVisibility()")
    browser.send("Emulation.setEmulatedMedia", media="")
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(report)
    browser.send("Emulation.setScriptExecutionDisabled", value=False)
    assert len(browser.shown()) == 30
    assert not browser.run("document.getElementById('row-controls').checkVisibility()")


def test_paper_shows_what_folds_hold_and_the_screen_folds_it_again(
    browser: Browser, make_run: Callable[..., Path], predicted: Callable[..., dict[str, Any]]
) -> None:
    other = {"f1/score": {"tuned": 0.8, "base": 0.7, "difference": 0.1, "n": 30, "change": "better"}}
    rows = [predicted(str(at), at / 30, 0.5) for at in range(30)]
    browser.open(write_report(make_run(rows, metrics={"baselines": {"larger": other}})))
    browser.run("addEventListener('beforeprint', () => { window.printed = counted() })")
    browser.run(
        "window.counted = () => ['.against', '.error', '.sample:not([hidden])', '.sample[hidden]', '.sample details']"
        ".map(one => document.querySelectorAll(one + '[open]').length)"
    )
    before = browser.run("counted()")
    browser.send("Page.printToPDF")
    # the other baseline, both metrics at their worst, the rows that are shown; not the others, nor what is within
    assert browser.run("printed") == [1, 2, 20, 0, 0]
    assert browser.run("counted()") == before == [0, 0, 1, 0, 0]


@pytest.mark.parametrize(("scheme", "light"), [("light", True), ("dark", False)])
def test_it_is_light_or_dark_as_the_reader_is(browser: Browser, report: Path, scheme: str, light: bool) -> None:
    browser.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.open(report)
    paper, ink = (browser.run(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
    bright = [sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(","))) for colour in (paper, ink)]
    assert (bright[0] > bright[1]) is light
    browser.send("Emulation.setEmulatedMedia", features=[])


def test_no_row_is_obeyed_and_nothing_is_fetched(
    browser: Browser, make_run: Callable[..., Path], predicted: Callable[..., dict[str, Any]]
) -> None:
    row = predicted("1", 0.9, 0.1, reference=HOSTILE, task=HOSTILE, tuned={"output": HOSTILE + " more"})
    long = predicted(
        "2", 0.8, 0.1, reference="word " * 20_000, tuned={"output": "word " * 20_000 + "\u05e9\u05dc\u05d5\u05dd"}
    )
    browser.open(write_report(make_run([row, long], lock={"recipe": HOSTILE}, result={"said": HOSTILE})))
    assert browser.run("window.hit") is None
    assert browser.run("[document.scripts.length, document.images.length]") == [1, 0]
    assert [url for url in browser.requests if not url.startswith("file://")] == []
    assert browser.run("document.querySelector('h1').textContent").startswith("<script>window.hit=1</script>")
    assert browser.shown() == ["1", "2"]
    assert "characters left out" in browser.run("document.querySelector('.sample:nth-child(2)').textContent")
