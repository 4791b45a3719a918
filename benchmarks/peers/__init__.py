"""The sides of a comparison, each a process of its own that answers lines of JSON (`serving.py`).

They run in the peers' environments: beside the peer they import nothing but numpy, torch and `benchmarks.spec`.
"""
