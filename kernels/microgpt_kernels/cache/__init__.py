"""How machine code is kept between runs: in a folder that only its user may write, or not at all.

`store.py` keeps it, `numba_code.py` makes Numba use the store, and `reports.py` informs the user.
"""
