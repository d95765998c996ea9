"""The ZeroMQ client binding: ask all nodes of a group, verify, return the agreed answer with its certificate."""
