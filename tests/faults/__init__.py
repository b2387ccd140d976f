"""What must not cost a user anything: crashes, damage, full disks, signals, races, in large numbers.

`just test-faults` runs all of it, for hours; the suite runs a sample of each.
"""
