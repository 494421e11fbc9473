"""asyncio wiring: listeners, relay ports, and the pump between the datapath and the engine."""
