"""The tests of Ferryman; each folder mirrors a room of `src/ferryman`."""
