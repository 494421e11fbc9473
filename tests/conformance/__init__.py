"""One test a clause of the RFCs, over real sockets, against any server.

`pytest tests/conformance` starts Ferryman; `--server HOST:PORT` names another one.
"""
