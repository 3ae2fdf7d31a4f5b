"""Tests of maxbench."""
