"""The subcommands of ``maxbench``, one module each."""
