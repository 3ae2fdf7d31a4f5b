"""An asv plug-in: results of the installed package, in any folder, with or without a git checkout.

asv keeps results by commit and asks a repository for the commit's date. ``maxbench run`` measures what is
installed, names the commit itself (``--set-commit-hash``) and has no repository to show: this class stands in for
one, chosen in the configuration by ``"dvcs": "installed"`` and ``"plugins": [".maxbench.bench.asv_plugin"]``.
"""

from __future__ import annotations

import datetime

try:
    from asv.repo import NoRepository
except ImportError:
    # asv imports this package's every module in the environments that it builds for commits, which are without asv.
    NoRepository = object


class Installed(NoRepository):  # type: ignore[misc]
    """The installed package as asv's repository: every name is taken as the commit that it is."""

    dvcs = "installed"

    def get_hash_from_name(self, name: str) -> str:
        return name

    def get_name_from_hash(self, commit: str) -> None:
        return None

    def get_decorated_hash(self, commit_hash: str, hash_length: int = 40) -> str:
        return commit_hash[:hash_length]

    def get_date(self, commit: str) -> int:
        """Now, in milliseconds since 1970, as asv keeps commit dates."""
        return int(datetime.datetime.now(datetime.UTC).timestamp() * 1000)
