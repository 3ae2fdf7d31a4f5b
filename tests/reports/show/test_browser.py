"""The page in a real browser: from disk, without a network, wide and narrow, light and dark."""

from __future__ import annotations

import base64
import itertools

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
    # Past the skipped navigation: the field and the heads of the first table, each with its focus shown.
    found = [press(Keys.TAB) for _ in range(8)]
    assert all(visible and outline != "none" for _, _, visible, outline in found)
    kinds = [kind for kind, box, _, _ in found if box == "g-times-softmax" or box == "g-answer"]
    assert {"INPUT", "BUTTON", "scroll"} <= set(kinds)


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
