"""What worker processes do: a module for each kind of job, with ``main(link, job)``."""
