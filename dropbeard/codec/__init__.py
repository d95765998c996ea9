"""Cap'n Proto messages to values and back: the only place where a socket's bytes become objects."""
