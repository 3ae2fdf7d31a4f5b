"""A small real data set, with the scripts that made it."""
