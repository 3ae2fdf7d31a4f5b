"""A worker process: connects to the process that started it, gets a job, and does it.

`bench.processes.program` runs it. All that measures and checks is imported here before any foreign code is.
"""

from __future__ import annotations

import importlib
import os

from ..timing.ready import described
from . import link as conversation

_end, _import, _describe = os._exit, importlib.import_module, described


def main() -> None:
    """Do the job, and end at once: what was imported may have left threads, or something to be done at exit."""
    link = conversation.Link()
    job = link.answer["job"]
    work = _import(f"..workers.{job['kind']}", __package__).main
    try:
        work(link, job)
        link.say("done")
    except conversation.Lost:
        _end(3)
    except BaseException as error:  # a plug-in may raise anything, SystemExit and KeyboardInterrupt included
        link.say("failed", failure=_describe(error))
        _end(1)
    _end(0)
