"""Runs as tasks of Ray: a process of its own holds the connection, because Ray's core may end the process it is in."""
