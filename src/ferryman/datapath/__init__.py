"""The one door to the native packet path, and a readable twin of its flow table.

Below this door nothing is decided: the engine's words go in, packets that need a decision come out.
"""
