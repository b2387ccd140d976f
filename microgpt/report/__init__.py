"""The report: a page with the curves of runs, what differs between them, and what races have found."""
