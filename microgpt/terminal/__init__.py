"""What stands between the program and whoever runs it: streams, Ctrl-C, and commands to paste."""
