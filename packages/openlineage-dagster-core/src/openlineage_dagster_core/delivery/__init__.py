"""Delivery: client, outbox and shipper; it knows nothing of Dagster."""
