"""Where an ASGI server finds the application; see `latentlens/protocols.py`."""

from latentlens.lib.imports import uncollected

with uncollected():
    from latentlens.protocols import application

__all__ = ["application"]
