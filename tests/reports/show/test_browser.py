"""The page in a real browser: from disk, without a network, wide and narrow, light and dark."""

from __future__ import annotations

import base64
import itertools
import sys
from pathlib import Path

import pytest

from maxbench.reports.show import report
from maxbench.reports.show.figures.style import PAPER
from tests.report_data import IMPLEMENTATIONS, Results, everything, findings

HOSTILE = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>\"'`" + "endless" * 20

VIEWS = list(itertools.product((1280, 400), (False, True)))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    everything().write(folder, side={"implementations": IMPLEMENTATIONS}, findings=findings())
    return report.write([folder], folder)


@pytest.mark.parametrize(("width", "dark"), VIEWS)
def test_it_loads_without_network_or_error_and_fits_the_width(browser, page, width, dark):
    browser.open(page, width=width, dark=dark)
    assert browser.logs("browser") == []
    asked = [
        line["message"] for line in browser.logs("performance") if '"Network.requestWillBeSent"' in line["message"]
    ]
    assert asked
    assert not [
        message for message in asked if "http://" in message.split('"url":"')[1][:8] or '"url":"https' in message
    ]
    assert browser.js("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "dark"), VIEWS)
def test_no_text_is_smaller_than_11_px_or_too_faint(browser, page, width, dark):
    browser.open(page, width=width, dark=dark)
    browser.js("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    small, faint = browser.js(_LEGIBLE)
    assert small == []
    assert faint == []


_LEGIBLE = r"""
const parse = (c) => { const m = c.match(/[\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
  .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (e) => { for (; e; e = e.parentElement) {
  const c = parse(getComputedStyle(e).backgroundColor); if (c[3] > 0.99) return c; } return [255, 255, 255, 1]; };
const small = [], faint = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const node = walk.currentNode, e = node.parentElement;
  if (!node.textContent.trim() || !e.getClientRects().length || e.closest('script, style, .sign, .skip')) continue;
  const style = getComputedStyle(e), svg = e.closest('svg');
  const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
  if (parseFloat(style.fontSize) * scale < 10.99) small.push(`${node.textContent} ${style.fontSize} ${scale}`);
  if (svg) continue;  // text in figures stands on drawn cells, which have no background to ask for
  const [a, b] = [light(parse(style.color)), light(behind(e))];
  const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (contrast < 4.5) faint.push(`${node.textContent.slice(0, 40)} ${contrast.toFixed(2)} ${style.color}`);
}
return [[...new Set(small)], [...new Set(faint)]];
"""


def test_dark_and_light_differ_in_paper_and_in_figures(browser, page):
    def colors():
        line = "document.querySelector('#time svg [style*=\"var(--s0)\"]')"
        return browser.js(f"return [getComputedStyle(document.body).backgroundColor, getComputedStyle({line}).stroke]")

    browser.open(page, dark=False)
    light = colors()
    browser.open(page, dark=True)
    dark = colors()
    assert light[0] != dark[0]
    assert light[1] != dark[1]


def test_every_figure_is_described_and_draws_something(browser, page):
    browser.open(page)
    figures = browser.js("""return [...document.querySelectorAll('figure svg')].map((svg) => ({
      role: svg.getAttribute('role'), label: svg.getAttribute('aria-label'), width: svg.getBoundingClientRect().width,
      height: svg.getBoundingClientRect().height, marks: svg.querySelectorAll('path, use').length,
      words: [...svg.querySelectorAll('text')].map((t) => t.textContent).join(' ')}))""")
    assert len(figures) > 20
    for figure in figures:
        assert figure["role"] == "img"
        assert len(figure["label"]) > 20
        assert figure["width"] > 300
        assert figure["height"] > 80
        assert figure["marks"] > 5
        assert figure["words"]


def test_tables_sort_by_number_both_ways_by_mouse_and_keyboard(browser, page):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.open(page)
    find = browser.driver.find_elements
    box = "#g-times-softmax"
    head = next(h for h in find(By.CSS_SELECTOR, f"{box} thead th") if "naive" in h.text)
    column = browser.js("return arguments[0].cellIndex", head)

    def values():
        script = f"return [...document.querySelectorAll('{box} tbody tr')].map((r) => r.cells[{column}].dataset.key)"
        return [float(value) for value in browser.js(script)]

    before = values()
    button = head.find_element(By.TAG_NAME, "button")
    button.click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert values() == sorted(before)
    button.send_keys(Keys.ENTER)
    assert head.get_attribute("aria-sort") == "descending"
    assert values() == sorted(before, reverse=True)


def test_filters_and_pages_reach_every_row(browser, page):
    from selenium.webdriver.common.by import By

    browser.open(page)
    box = browser.driver.find_element(By.CSS_SELECTOR, "#g-measurements")

    def rows():
        return [row.text for row in box.find_elements(By.CSS_SELECTOR, "tbody tr")]

    total = int(box.find_element(By.TAG_NAME, "output").text.split()[2])
    assert total > 300
    assert len(rows()) == 50
    seen = set(rows())
    following = box.find_element(By.CSS_SELECTOR, "[data-step='1']")
    while following.is_enabled():
        following.click()
        seen |= {f"{i} {row}" for i, row in enumerate(rows())}
    assert "to" in box.find_element(By.TAG_NAME, "output").text
    box.find_element(By.TAG_NAME, "input").send_keys("PLUGIN int8 segmentation")
    found = rows()
    assert len(found) == 1
    assert "plugin" in found[0]
    assert box.find_element(By.TAG_NAME, "output").text == f"1 of {total} rows"


@pytest.mark.parametrize("width", [725, 747])  # A4 and Letter, less the margins of 8 mm
def test_nothing_is_cut_off_or_smaller_than_11_px_on_paper(browser, page, width):
    browser.open(page, width=width, dark=True, media="print")
    wide, paper = browser.js("""const seen = [...document.querySelectorAll('table, figure svg, p, li')]
      .filter((e) => e.getClientRects().length);
    return [seen.filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.textContent.slice(0, 80)),
      getComputedStyle(document.body).getPropertyValue('--paper').trim()]""")
    assert wide == []
    assert paper == PAPER[0]  # also where the screen is dark
    small, faint = browser.js(_LEGIBLE)
    assert small == []
    assert faint == []


def test_everything_has_a_name_for_a_screen_reader(browser, page):
    browser.open(page)
    nodes = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n["ignored"]]
    for role in ("button", "searchbox", "link", "image", "table", "region", "status", "navigation", "heading"):
        names = [name for other, name in named if other == role]
        assert names, role
        assert all(names), role
        # Nobody sees where on the page one of several fields is.
        assert role not in ("searchbox", "table", "status", "image") or len(set(names)) == len(names), names
    levels = [
        int(level)
        for level in browser.js("return [...document.querySelectorAll('h1,h2,h3,h4')].map((h) => h.tagName[1])")
    ]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert browser.js("return document.documentElement.lang") == "en"


def test_the_keyboard_reaches_the_answer_and_every_tool(browser, page):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    browser.open(page)

    def press(key):
        ActionChains(browser.driver).send_keys(key).perform()
        return browser.js("""const e = document.activeElement, box = e.getBoundingClientRect();
          return [e.className || e.tagName, e.closest('.table')?.id ?? '', box.left >= 0 && box.width > 0,
            getComputedStyle(e).outlineStyle]""")

    kind, _, visible, outline = press(Keys.TAB)
    assert (kind, visible) == ("skip", True)
    assert outline != "none"
    press(Keys.ENTER)
    assert browser.js("return location.hash") == "#main"
    # Past the skipped navigation: the figures of the first screen, then the field and the heads of the first table,
    # each with its focus shown.
    found = [press(Keys.TAB) for _ in range(18)]
    assert all(visible and outline != "none" for _, _, visible, outline in found)
    kinds = [kind for kind, box, _, _ in found if box == "g-times-softmax" or box == "g-answer"]
    assert {"INPUT", "BUTTON", "scroll"} <= set(kinds)
    assert {"enlarge", "scroll"} <= {kind for kind, box, _, _ in found if not box}


class Mouse:
    """The browser's own pointer, over an element."""

    def __init__(self, browser):
        self.browser = browser

    def over(self, script):
        """Scroll an element to the middle and point at it."""
        x, y = self.browser.js(
            f"const e = {script}; e.scrollIntoView({{block: 'center'}}); const r = e.getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2]"
        )
        self._send("mouseMoved", x, y)
        return x, y

    def click(self, script):
        x, y = self.over(script)
        for kind in ("mousePressed", "mouseReleased"):
            self._send(kind, x, y, button="left", clickCount=1)

    def _send(self, kind, x, y, **more):
        self.browser.driver.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **more})


TIP = "const t = document.querySelector('#tip'); return t.hidden ? null : t.textContent"


@pytest.mark.parametrize("section", ["time", "speedup", "winners", "ladder", "memory"])
def test_what_is_pointed_at_says_what_it_is_and_is_set_off_with_its_input_everywhere(browser, page, section):
    browser.open(page)
    mouse = Mouse(browser)
    mark = f"document.querySelectorAll('#{section} circle.mark')[1]"
    mouse.over(mark)
    words, input_, tag = browser.js(f"const m = {mark}; return [m.dataset.words, m.dataset.input, m.classList[1]]")
    assert browser.js(TIP) == words
    assert browser.js(f"return {mark}.classList.contains('on')")
    assert words.startswith(("naive", "numba", "numpy", "plugin", "faster", "tie", "cannot tell"))
    same = browser.js("return [...document.querySelectorAll('.mark.same')].map((m) => m.dataset.input)")
    assert set(same) == ({input_} if input_ else set())
    assert not input_ or len(same) > 5  # in other figures too
    faded = browser.js(f"""const o = (s) => [...document.querySelectorAll(s)].map((e) => getComputedStyle(e).opacity);
      return [o('svg g.{tag}'), o('svg g[class^="i"]:not(.{tag}):not(.entry)')]""")
    assert set(faded[0]) == {"1"}
    assert set(faded[1]) == {"0.25"}
    x, y, right, bottom = browser.js("""const r = document.querySelector('#tip').getBoundingClientRect();
      return [r.left, r.top, r.right, r.bottom]""")
    assert x >= 0 and y >= 0 and right <= 1280 and bottom <= 900  # noqa: PT018
    mouse.over("document.querySelector('h1')")
    assert browser.js(TIP) is None


def test_a_legend_entry_and_a_name_above_hide_an_implementation_in_every_figure(browser, page):
    browser.open(page)
    mouse = Mouse(browser)
    tag = browser.js("return document.querySelector('#time svg .entry').classList[0]")

    def seen():
        return browser.js(f"""return [...document.querySelectorAll('svg .{tag}:not(.entry)')]
          .map((e) => getComputedStyle(e).visibility)""")

    def pressed():
        return browser.js(f"return document.querySelector('.bar [data-tag={tag}]').getAttribute('aria-pressed')")

    assert len(seen()) > 50
    assert (set(seen()), pressed()) == ({"visible"}, "true")
    mouse.click(f"document.querySelector('#time svg .entry.{tag}')")
    assert (set(seen()), pressed()) == ({"hidden"}, "false")
    # What is hidden does not answer: what is near it does, or nothing.
    mouse.over(f"document.querySelector('#memory circle.{tag}')")
    assert not browser.js(f"return document.querySelector('.mark.on.{tag}')")
    mouse.click(f"document.querySelector('.bar [data-tag={tag}]')")
    assert (set(seen()), pressed()) == ({"visible"}, "true")
    others = browser.js("""return [...document.querySelectorAll('svg g[class^="i"]')].map((e) => e.classList[0])""")
    assert len(set(others)) == browser.js("return document.querySelectorAll('.bar button').length")


def test_the_arrow_keys_walk_through_the_points_of_a_figure_and_enlarge_it(browser, page):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(key):
        ActionChains(browser.driver).send_keys(key).perform()
        return browser.js(TIP)

    browser.open(page)
    browser.js("document.querySelector('#overview-1, .lead figure .scroll').focus()")
    marks = browser.js(
        "return [...document.querySelectorAll('.lead figure')[0].querySelectorAll('.mark')].map((m) => m.dataset.words)"
    )
    assert [press(Keys.ARROW_RIGHT) for _ in range(3)] == marks[:3]
    assert press(Keys.ARROW_LEFT) == marks[1]
    where = marks[1].split(" on ")[1].partition(",")[0]
    down = press(Keys.ARROW_DOWN)  # the next implementation on the same input
    assert f" on {where}, " in down
    assert down != marks[1]
    assert browser.js("return document.querySelector('#tip').getAttribute('role')") == "status"
    assert press(Keys.ESCAPE) is None

    width = "return document.querySelector('dialog svg').viewBox.baseVal.width"
    browser.js("document.querySelector('.lead .enlarge').focus()")
    press(Keys.ENTER)
    whole = browser.js(width)
    assert browser.js("return document.querySelector('dialog').open")
    press("+")
    assert browser.js(width) == pytest.approx(0.7 * whole, rel=1e-3)
    press("0")
    assert browser.js(width) == pytest.approx(whole, rel=1e-3)
    assert press(Keys.ARROW_RIGHT) == marks[0]
    press(Keys.ESCAPE), press(Keys.ESCAPE)  # what is said, then the dialog
    assert not browser.js("return document.querySelector('dialog').open")
    assert browser.js(
        "return document.querySelectorAll('.lead figure')[0].querySelectorAll('svg .mark').length"
    ) == len(marks)
    assert browser.js("return document.activeElement.className") == "enlarge"
    assert browser.logs("browser") == []


def test_the_first_screen_has_the_answer_and_every_time(browser, page):
    browser.open(page)
    bottoms = browser.js("""return ['.trust', '.card:last-of-type', '.lead figure svg'].map((s) =>
      document.querySelector(s).getBoundingClientRect().bottom)""")
    assert max(bottoms) <= 800, bottoms
    # Two figures stand side by side, and no number of a table is broken.
    lefts = browser.js(
        "return [...document.querySelectorAll('.lead figure')].map((f) => f.getBoundingClientRect().left)"
    )
    assert len(set(lefts)) == 2
    broken = browser.js(r"""return [...document.querySelectorAll('td')].filter((cell) => {
      const words = document.createRange();
      words.selectNode(cell.firstChild ?? cell);
      const lines = new Set([...words.getClientRects()].map((r) => Math.round(r.bottom / 8)));
      return /\d/.test(cell.textContent) && cell.textContent.length <= 40 && lines.size > 1;
    }).map((cell) => cell.textContent)""")
    assert broken == []


AXE = Path(sys.prefix) / "node_modules" / "axe-core" / "axe.min.js"  # .ci/run puts it there


@pytest.mark.skipif(not AXE.exists(), reason="no axe-core: npm install --prefix .venv axe-core")
def test_axe_finds_nothing(browser, page):
    for width, dark, rules in ((1280, False, None), (400, True, ["color-contrast", "scrollable-region-focusable"])):
        browser.open(page, width=width, dark=dark)
        # What is there many times over is looked at a few times: axe looks at every element.
        browser.js("""document.querySelectorAll('details').forEach((d) => { d.open = true; });
          document.querySelectorAll(`section > .figures > figure:nth-child(n+3), tbody tr:nth-child(n+8),
            figure .mark:nth-child(n+8)`).forEach((e) => e.remove())""")
        browser.js(AXE.read_text("utf-8"))
        found = browser.driver.execute_async_script(
            """const [rules, done] = arguments;
            axe.run({resultTypes: ['violations'], ...(rules ? {runOnly: rules} : {})}).then((r) => done(
              r.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 99)).slice(0, 3)}`)))""",
            rules,
        )
        assert found == []


def test_it_prints(browser, page):
    browser.open(page, dark=True)
    printed = base64.b64decode(browser.driver.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.startswith(b"%PDF")
    assert len(printed) > 50_000


def test_hostile_names_run_nothing(browser, tmp_path):
    found = Results()
    for name, n in itertools.product((HOSTILE, "numpy_vectorized"), (2, 1024)):
        found.add("softmax.Sweep.time_call", (name, "float32", n), [[1.0], [2.0]])
        found.add("softmax.Workloads.time_call", (name, "float32", HOSTILE), [[1.0], [2.0]])
    for i in range(400):
        found.add("argmax.Workloads.time_call", (HOSTILE, "int8", f"{HOSTILE}{i}"), [[1.0], [2.0]])
    names = {"name": HOSTILE, "source": HOSTILE, "doc": HOSTILE, "operation": "softmax", "origin": HOSTILE}
    side = {"id": HOSTILE, "machine": {"name": HOSTILE}, "implementations": [names], "warnings": [HOSTILE]}
    found.write(tmp_path, side=side, findings=findings((HOSTILE, "b")))
    browser.open(report.write([tmp_path], tmp_path), width=400)
    assert browser.js("return window.hacked") is None
    assert browser.js("return document.documentElement.scrollWidth") <= 400
    assert browser.logs("browser") == []
    assert HOSTILE in browser.js("return document.querySelector('#g-measurements').textContent")
