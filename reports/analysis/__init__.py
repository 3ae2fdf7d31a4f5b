"""What records say: decision rules, contests, costs of starting, and what is doubtful."""
