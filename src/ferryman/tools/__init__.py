"""The command line: reads arguments and configuration, prints, and calls what it was given."""
