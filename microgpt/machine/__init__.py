"""What the program takes from this machine: a backend, cores and memory."""
