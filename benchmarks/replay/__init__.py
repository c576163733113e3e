"""How fast the event log is replayed, beside the same events that are only posted."""
