"""The command `graph`."""
