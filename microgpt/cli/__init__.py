"""The command line: the options of each command. What a command does is imported only when it is called."""
