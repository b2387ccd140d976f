"""How machine code is kept between runs: in a folder that nobody but its user may write, or nowhere.

`store.py` keeps it, `numba_code.py` lets Numba's functions use the store, and `reports.py` is what users
hear.
"""
