"""A worker process: connects to the process that started it, gets a job, and does it.

`bench.processes.program` runs it. All that measures and checks is imported here before any foreign code is.
"""

from __future__ import annotations

import importlib
import os

from ..timing.ready import described
from . import link as conversation
from .messages import Done, Failed

_end, _import, _describe = os._exit, importlib.import_module, described


def main() -> None:
    """Do the job, and end at once: what was imported may have left threads, or something to be done at exit."""
    link = conversation.Link()
    if (job := link.welcome.job) is None:  # it is over: nobody waits for it any more
        _end(3)
    work = _import(f"..workers.{job.__struct_config__.tag}", __package__).main
    try:
        work(link, job)
        link.say(Done())
    except conversation.Lost:
        _end(3)
    except BaseException as error:  # a plug-in may raise anything, SystemExit and KeyboardInterrupt included
        link.say(Failed(_describe(error)))
        _end(1)
    _end(0)
