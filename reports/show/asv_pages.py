"""asv's own pages from results folders, with links preset to compare implementations, readable from disk.

asv draws one line per parameter on linear axes, over commits, and its pages read their data over HTTP and their
libraries from content delivery networks. This adds an index of presets (one line per implementation, against n, on a
logarithmic axis of times) and puts the data into a script, which a browser also reads from disk; the libraries, all
under the MIT licence, are fetched by npm if they are wanted beside the pages.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import shutil
import tempfile
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maxbench.bench.processes import launch

from ..records import runs
from ..records.asv_results import joined, literal
from ..system import files, git, output_folder
from . import asv_repository
from .templating import environment

INDEX = "comparisons.html"
WRITER = "publish"
_LOCAL = "asv-local.js"

# Library files that asv's page asks for: (how their address ends, npm package, file in it). asv names the versions.
_LIBRARIES = (
    (r"/jquery-([\d.]+)\.min\.js", "jquery", "dist/jquery.min.js"),
    (r"/flot/([\d.]+)/jquery\.flot\.min\.js", "flot", "jquery.flot.js"),
    (r"/flot/([\d.]+)/jquery\.flot\.time\.min\.js", "flot", "jquery.flot.time.js"),
    (r"/flot/([\d.]+)/jquery\.flot\.selection\.min\.js", "flot", "jquery.flot.selection.js"),
    (r"/flot/([\d.]+)/jquery\.flot\.categories\.min\.js", "flot", "jquery.flot.categories.js"),
    (r"/flot-orderbars@([\d.]+)/.*\.js", "flot-orderbars", "js/jquery.flot.orderBars.js"),
    (r"/stupidtable/([\d.]+)/.*\.js", "stupid-table-plugin", "stupidtable.min.js"),
    (r"/blueimp-md5/([\d.]+)/.*\.js", "blueimp-md5", "js/md5.min.js"),
    (r"/bootstrap@([\d.]+)/.*\.js", "bootstrap", "dist/js/bootstrap.min.js"),
    (r"/bootstrap@([\d.]+)/.*\.css", "bootstrap", "dist/css/bootstrap.min.css"),
)
# npm does not have the version of this one that asv names; its interface is the same.
_VERSIONS = {"stupid-table-plugin": "1.1.3"}
_TAG = re.compile(r'<(?:script|link)\b[^>]*?(?:src|href)="(https://[^"]+)"[^>]*>')


class PublishFailed(RuntimeError):
    """asv or npm could not do its part; the message says which and why."""


@dataclass(frozen=True)
class Preset:
    """A link to one of asv's graphs: its benchmark, what is fixed in it, and the address."""

    benchmark: str
    fixed: str
    address: str


def publish(folders: Sequence[Path], output: Path, *, offline: bool = False) -> Path:
    """Write asv's pages for results folders; returns the path of the index of comparisons.

    Raises:
        reports.records.runs.NoResults: a folder is missing or holds no results.
        PublishFailed: asv failed; a name in the results is none of a folder; or, when `offline`, npm is missing or
            could not fetch the libraries.
        InTheWay: the folder holds what is not ours in place of a page; nothing was written.
    """
    stored = [runs.read(folder) for folder in folders]
    for folder, run in zip(folders, stored, strict=True):
        if not run.results.files:
            raise runs.NoResults(f"{folder}: no results of asv here")
    with tempfile.TemporaryDirectory(prefix="maxbench-publish-") as scratch:
        html = _asv_publish(stored, Path(scratch))
        page = (html / "index.html").read_text("utf-8")
        if offline:
            page = _local_libraries(page, html, Path(scratch))
        (html / "index.html").write_text(local_data(page, html), "utf-8")
        benchmarks = json.loads((html / "index.json").read_text("utf-8"))["benchmarks"]
        index = environment().get_template("comparisons.html.j2").render(presets=presets(benchmarks), offline=offline)
        (html / INDEX).write_bytes(files.encode(index))
        output_folder.fill(output, WRITER, pages(html))
    return output / INDEX


def pages(html: Path, inside: str = "") -> dict[str, Path]:
    """The files of asv's pages for `output_folder.fill`: what the pages read first, the pages themselves last.

    Args:
        inside: the folder that they are to lie in, with a slash at its end.
    """
    found = sorted((path for path in html.rglob("*") if path.is_file()), key=lambda p: (p.suffix == ".html", p))
    return {inside + path.relative_to(html).as_posix(): path for path in found}


def _asv_publish(stored: Sequence[runs.Run], scratch: Path) -> Path:
    """Have asv make its pages of all results together; returns their folder."""
    results = scratch / "results"
    commits: dict[str, float] = {}
    benchmarks: dict[str, dict[str, Any]] = {}
    number = itertools.count()
    for run in stored:
        for name, machine in run.results.machines.items():
            where = _inside(results, name)
            where.mkdir(parents=True, exist_ok=True)
            files.write_json(where / "machine.json", {**machine, "machine": name, "version": 1})
        for file in run.results.files:
            where = _inside(results, file.machine)
            where.mkdir(parents=True, exist_ok=True)
            # Numbered: files of two folders may have one name.
            shutil.copyfile(file.path, where / f"{next(number)}.json")
            began = max((m.started or 0 for m in file.measurements), default=0)
            commits[file.commit] = max(commits.get(file.commit, 0), began)
        for name, benchmark in run.results.benchmarks.items():
            benchmarks[name] = joined(benchmarks[name], benchmark) if name in benchmarks else benchmark
    # asv's list shows every benchmark it knows, and fails to read the summary of one that was never measured.
    measured = {m.benchmark for run in stored for file in run.results.files for m in file.measurements}
    known = {name: benchmark for name, benchmark in benchmarks.items() if name in measured}
    files.write_json(results / "benchmarks.json", {**known, "version": 2})
    files.write_json(scratch / "commits.json", sorted(commits, key=lambda commit: commits[commit]))
    files.write_json(
        scratch / "asv.conf.json",
        {
            "version": 1,
            "project": "maxbench",
            "project_url": "#",
            "repo": str(scratch / "commits.json"),
            "dvcs": asv_repository.NAME,
            "plugins": [f".{asv_repository.__name__}"],  # with a dot: by its full name
            "branches": ["measured"],
            "environment_type": "existing",
            "benchmark_dir": str(results),
            "results_dir": str(results),
            "html_dir": str(scratch / "html"),
        },
    )
    command = launch.python("-m", "asv", "publish", "--config", "asv.conf.json")
    ending = launch.Child(command, cwd=scratch, env=launch.environment(whole=git.environment())).wait()
    if not ending.ok or not (scratch / "html" / "index.json").exists():
        raise PublishFailed(f"asv publish failed: {ending}")
    return scratch / "html"


def _inside(folder: Path, *names: str) -> Path:
    try:
        return files.inside(folder, *names)
    except ValueError as error:
        raise PublishFailed(str(error)) from None


def presets(benchmarks: dict[str, dict[str, Any]]) -> list[Preset]:
    """For every benchmark that compares implementations: a link per set of its other parameters.

    The axis is a numeric parameter where there is one with several values, else the implementation.
    """
    found = []
    for name, benchmark in sorted(benchmarks.items()):
        names, params = benchmark.get("param_names", []), benchmark.get("params", [])
        if not names or names[0] != "implementation":
            continue
        values = dict(zip(names, params, strict=True))
        numeric = [k for k, v in values.items() if len(v) > 1 and all(isinstance(literal(x), int | float) for x in v)]
        axis = numeric[-1] if numeric else "implementation"
        rest = [key for key in names if key not in (axis, "implementation")]
        for choice in itertools.product(*(values[key] for key in rest)):
            fixed = dict(zip(rest, choice, strict=True))
            query = [("x-axis", axis), ("y-axis-scale", "log"), *((f"p-{key}", value) for key, value in fixed.items())]
            words = ", ".join(f"{key} {literal(value)}" for key, value in fixed.items())
            address = f"index.html#{name}?{urllib.parse.urlencode(query, quote_via=urllib.parse.quote)}"
            found.append(Preset(name, words, address))
    return found


def local_data(page: str, html: Path) -> str:
    """Put asv's data into a script, and asv's page in the way of reading it from there; the page to write.

    Raises:
        PublishFailed: the page is not the one that is known.
    """
    data = {path.relative_to(html).as_posix(): path.read_text("utf-8") for path in sorted(html.rglob("*.json"))}
    script = (Path(__file__).parent / "templates" / _LOCAL).read_text("utf-8")
    # The copy is needed on disk only, but over HTTP it serves as well.
    (html / _LOCAL).write_text(script.replace("{}", json.dumps(data, ensure_ascii=True), 1), "utf-8")
    marker = '<script language="javascript" type="text/javascript"\n            src="asv.js">'
    if marker not in page:
        raise PublishFailed("this version of asv has an index.html unlike the one that is known")
    return page.replace(marker, f'<script src="{_LOCAL}"></script>\n    {marker}')


def _local_libraries(page: str, html: Path, scratch: Path) -> str:
    """The page with its libraries beside it: fetched by npm, and where asv states a digest, compared with it."""
    wanted = []
    for tag in _TAG.finditer(page):
        address = tag[1]
        known = next(((p, f, m[1]) for pattern, p, f in _LIBRARIES if (m := re.search(f"{pattern}$", address))), None)
        if known is None:
            raise PublishFailed(f"asv's page asks for {address}, which is not among the libraries known here")
        package, file, version = known
        wanted.append((tag[0], address, package, file, _VERSIONS.get(package, version)))
    _npm(sorted({f"{package}@{version}" for _, _, package, _, version in wanted}), scratch)
    (html / "vendor").mkdir()
    for tag_text, address, package, file, version in wanted:
        content = (scratch / "node_modules" / package / file).read_bytes()
        local = f"vendor/{package}-{version}-{Path(file).name}"
        (html / local).write_bytes(content)
        kept = tag_text.replace(address, local)
        if not _same(content, tag_text):
            # Not the very file that asv names: another build or version of the same library.
            kept = re.sub(r' integrity="[^"]*"', "", kept)
        # Files from disk have no origin that a cross-origin check could pass.
        kept = re.sub(r' (crossorigin|referrerpolicy|integrity)="[^"]*"', "", kept)
        page = page.replace(tag_text, kept)
    for package in sorted({package for _, _, package, _, _ in wanted}):
        for licence in sorted((scratch / "node_modules" / package).glob("LICEN[CS]E*")):
            shutil.copyfile(licence, html / "vendor" / f"{package}-{licence.name}")
    return page


def _npm(packages: list[str], folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise PublishFailed("the libraries of asv's pages are fetched by npm, which is not installed")
    files.write_json(folder / "package.json", {"name": "asv-pages", "private": True})
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--", *packages]
    ending = launch.Child(command, cwd=folder).wait()
    if not ending.ok:
        raise PublishFailed(f"npm could not fetch {', '.join(packages)}: {ending}")


def _same(content: bytes, tag: str) -> bool:
    """Whether a file is the one whose digest the tag states."""
    stated = re.search(r'integrity="(sha\d+)-([^"]+)"', tag)
    if stated is None:
        return False
    return base64.b64encode(hashlib.new(stated[1], content).digest()).decode() == stated[2]
