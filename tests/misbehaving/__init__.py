"""Plug-ins that misbehave at import, at a call or in order to be ranked, and what maxbench must report of each."""
