"""How long after an event its lineage reaches the backend."""
