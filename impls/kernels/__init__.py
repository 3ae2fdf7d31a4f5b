"""The implementations in the tree: one folder per operation, one file per implementation."""
