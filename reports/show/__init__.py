"""Reports: tables, figures and sections as a page, as Markdown and in a terminal."""
