"""Between the program and its user: streams, Ctrl-C, lines that fit, and commands to paste."""
