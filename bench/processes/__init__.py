"""The processes that measure: their launcher, their conversation with the one that decides, and its judge."""
