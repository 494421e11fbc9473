"""Bytes to values and back, for STUN, TURN and ChannelData (RFC 8489, RFC 8656).

No clock, no socket, no role: the same functions serve a server, a client and a test.
"""
