"""Reads what is new in Dagster's event log, of all runs and in order; the cursor."""
