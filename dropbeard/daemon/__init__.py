"""The daemons: a node (socket loop around the agreement core) and an engine (models behind an ipc socket)."""
