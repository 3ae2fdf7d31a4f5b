"""What people read: results become one tidy table, figures, a page; and the `maxbench` command."""
