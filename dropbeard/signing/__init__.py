"""Keys, signatures and the guard: what a node holds in secret, and what it may put its name to."""
