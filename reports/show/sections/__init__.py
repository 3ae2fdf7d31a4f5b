"""The sections of a report: each a sentence or two on what it shows, figures and tables."""
