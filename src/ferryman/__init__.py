"""Ferryman: a TURN/STUN server. Python decides, Rust forwards."""

__version__ = "0.1.0"
