"""A long mixed load with faults, and the reconciliation of event log and receiver at its end."""
