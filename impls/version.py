"""The version of maxbench, which packaging reads from here."""

from __future__ import annotations

__version__ = "0.1.0"
