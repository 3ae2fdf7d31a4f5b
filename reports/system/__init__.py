"""Files, processes, text and exit statuses: what the rest of `reports` stands on."""
