"""What survives a restart: the journal, on SQLite."""
