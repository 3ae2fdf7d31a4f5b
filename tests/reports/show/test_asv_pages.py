"""asv's own pages: made of run folders by asv itself, with presets, and readable from disk."""

import json
import re
import shutil
import urllib.parse

import pytest

from maxbench.reports.commands import main
from maxbench.reports.records import runs
from maxbench.reports.show import asv_pages
from tests.report_data import COMMIT, Results

PARAMS = [["'fast'", "'slow'"], ["'float32'"], ["2", "1024", "1048576"]]


def run(folder, commit=COMMIT):
    found = Results()
    for name, speed in (("fast", 1e-3), ("slow", 2e-3)):
        for n in (2, 1024, 1048576):
            found.add("softmax.Sweep.time_call", (name, "float32", n), [[speed], [speed * 1.1]])
    found.write(folder, commit=commit)
    benchmark = {
        "name": "softmax.Sweep.time_call", "param_names": ["implementation", "dtype", "n"], "params": PARAMS,
        "type": "time", "unit": "seconds", "version": "1", "code": "", "pretty_name": None, "timeout": 60,
    }  # fmt: skip
    never = benchmark | {"name": "history.Anchor.time_anchor", "params": [], "param_names": []}
    known = {"softmax.Sweep.time_call": benchmark, "history.Anchor.time_anchor": never, "version": 2}
    (folder / "asv" / "results" / "benchmarks.json").write_text(json.dumps(known))
    return folder


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    base = tmp_path_factory.mktemp("publish")
    folders = [run(base / "a"), run(base / "b", "f" * 40)]
    return asv_pages.publish(folders, base / "html")


def test_asv_draws_every_run_and_the_index_links_each_comparison(pages):
    index = json.loads((pages.parent / "index.json").read_text())
    assert set(index["revision_to_hash"].values()) == {COMMIT, "f" * 40}
    links = re.findall(r'href="(index\.html#softmax[^"]*)"', pages.read_text())
    assert len(links) == 1
    query = urllib.parse.parse_qs(links[0].replace("&amp;", "&").partition("?")[2])
    assert query == {"x-axis": ["n"], "y-axis-scale": ["log"], "p-dtype": ["'float32'"]}


def test_the_graph_shows_one_line_per_implementation_from_disk(pages, browser, tmp_path):
    if shutil.which("npm") is None:
        pytest.skip("no npm to fetch the libraries with")
    # The libraries as one publication of a user's has them; asv's data as above.
    index = asv_pages.publish([run(tmp_path / "run")], tmp_path / "html", offline=True)
    browser.open(index)
    link = browser.js("return document.querySelector('li a').href")
    browser.driver.get("about:blank")
    browser.open(link)
    browser.wait("return document.querySelectorAll('#graph-display canvas').length > 0")
    assert browser.logs("browser") == []
    legend = browser.wait("return document.querySelector('.legend')?.textContent")
    assert "fast" in legend
    assert "slow" in legend
    assert browser.js("return document.querySelectorAll('.legend tr').length") == 2
    # asv's list of benchmarks, which reads a summary of each.
    browser.driver.get("about:blank")
    browser.open(index.with_name("index.html"))
    browser.wait("return document.querySelectorAll('#summarygrid-display a').length > 0")
    assert browser.logs("browser") == []
    vendor = {path.name for path in (tmp_path / "html" / "vendor").iterdir()}
    assert {name.partition("-")[0] for name in vendor} >= {"jquery", "flot", "bootstrap", "blueimp"}
    assert [name for name in vendor if "LICENSE" in name.upper()]
    assert "https://c" not in (tmp_path / "html" / "index.html").read_text()


def test_earlier_pages_are_replaced_and_what_is_not_ours_stays(pages, tmp_path, capsys):
    folder = run(tmp_path / "run")
    html = tmp_path / "html"
    shutil.copytree(pages.parent, html)
    (html / "mine.txt").write_text("")
    assert main.main(["publish", str(folder), "--output", str(html)]) == 0
    assert capsys.readouterr().out.strip().endswith("comparisons.html")
    assert (html / "mine.txt").exists()
    assert set(json.loads((html / "index.json").read_text())["revision_to_hash"].values()) == {COMMIT}
    # A folder with a file of asv's name, which no publishing has filled.
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in ("thesis.txt", "asv.js"):
        (mine / name).write_text("mine")
    assert main.main(["publish", str(folder), "--output", str(mine)]) == 2
    assert "asv.js was not written by `maxbench publish`: nothing was written" in capsys.readouterr().err
    assert {path.name: path.read_text() for path in mine.iterdir()} == {"thesis.txt": "mine", "asv.js": "mine"}


@pytest.mark.parametrize("machine", ["{}/outside", "..", "", "a/../../outside"])
def test_a_machine_in_the_results_names_no_folder_elsewhere(tmp_path, machine):
    folder = run(tmp_path / "run")
    [path] = (folder / "asv" / "results").glob("*/*-*.json")
    content = json.loads(path.read_text())
    content["params"]["machine"] = machine.format(tmp_path)
    path.write_text(json.dumps(content))
    before = sorted(tmp_path.rglob("*"))
    main.main(["publish", str(folder), "--output", str(tmp_path / "html")])
    assert [path for path in sorted(tmp_path.rglob("*")) if tmp_path / "html" not in (path, *path.parents)] == before
    with pytest.raises(asv_pages.PublishFailed, match="cannot name a file in"):
        asv_pages._inside(tmp_path, machine.format(tmp_path), "file.json")


def test_results_of_one_name_in_two_folders_are_both_published(tmp_path):
    folders = [run(tmp_path / name) for name in ("a", "b")]
    (tmp_path / "scratch").mkdir()
    asv_pages._asv_publish([runs.read(folder) for folder in folders], tmp_path / "scratch")
    copied = [path for path in (tmp_path / "scratch" / "results").glob("*/*.json") if path.name != "machine.json"]
    assert len(copied) == 2


def test_what_cannot_be_published_is_said(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    with pytest.raises(runs.NoResults):
        asv_pages.publish([tmp_path / "empty"], tmp_path / "html")
    folder = run(tmp_path / "run")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(asv_pages.PublishFailed, match="npm, which is not installed"):
        asv_pages.publish([folder], tmp_path / "html", offline=True)
    (folder / "asv" / "results" / "benchmarks.json").write_text(
        '{"version": 2, "softmax.Sweep.time_call": {"params": []}}'
    )
    with pytest.raises(asv_pages.PublishFailed, match="asv publish failed"):
        asv_pages.publish([folder], tmp_path / "html")


def test_presets_take_the_numeric_axis_and_one_link_per_rest():
    found = asv_pages.presets(
        {
            "argmax.Orders.time_call": {
                "param_names": ["implementation", "dtype", "order"],
                "params": [["'a'"], ["'float32'"], ["'random'", "'all equal'"]],
            },
            "other.time": {"param_names": [], "params": []},
        }
    )
    assert [p.fixed for p in found] == ["dtype float32, order random", "dtype float32, order all equal"]
    assert "x-axis=implementation" in found[0].address
    assert "p-order=%27all%20equal%27" in found[1].address
