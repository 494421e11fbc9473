"""`python -m ferryman`."""

from ferryman.app import main

main()
