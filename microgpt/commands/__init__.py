"""What each command does that has no room of its own."""
