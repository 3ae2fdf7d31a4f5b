"""Typed records: what a run writes, and reads back from files that anybody may have changed."""
