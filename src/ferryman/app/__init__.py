"""The one place that sees every room: turns a Configuration into a running server."""

from ferryman.app.start import main, serve

__all__ = ["main", "serve"]
