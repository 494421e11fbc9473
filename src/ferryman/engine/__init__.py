"""Decisions of a TURN server (RFC 8656), sans-IO: a request in; reply, changes, journal out."""
