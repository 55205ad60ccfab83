"""What lies on disk after a run: the schema, parts, the record, the lock, the status."""
