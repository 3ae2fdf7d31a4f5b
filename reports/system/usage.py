"""How commands end: exit statuses, and the error of what a user gave."""

from __future__ import annotations

ERROR, INTERRUPTED = 2, 130
NO_HOME = "MAXBENCH_NO_HOME"  # set where HOME is a folder that ends with the command


class UsageError(Exception):
    """Input that the command cannot use; the message says what was wrong and what is accepted."""
