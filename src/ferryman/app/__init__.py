"""The one place that sees every room: turns a Configuration into a running server."""

from ferryman.app.start import main, serve, turnserver

__all__ = ["main", "serve", "turnserver"]
