"""How fast training is, and how near that is to what the machine can do."""
