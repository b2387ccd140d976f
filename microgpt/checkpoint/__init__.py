"""Files that a crash, a full disk or a foreign hand cannot turn into a wrong result."""
