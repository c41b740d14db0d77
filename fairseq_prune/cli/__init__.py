"""``fairseq-prune COMMAND``: one module a command; its docstring's first line is the help text."""
