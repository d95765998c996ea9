"""The world on one thread: real replicas, virtual clocks, a seeded network, and an oracle of its own (rule 10)."""
