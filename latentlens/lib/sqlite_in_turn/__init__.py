"""Django's SQLite, with the threads of a process writing in the order in which they came; see `base.py`."""
