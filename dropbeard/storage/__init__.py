"""Files: what people write, and the journal that survives a restart."""
