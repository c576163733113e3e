"""Definitions that only the process of a run knows, kept in the instance for the deliverer."""
