"""The resources of this machine that a run uses: a backend, cores and memory."""
