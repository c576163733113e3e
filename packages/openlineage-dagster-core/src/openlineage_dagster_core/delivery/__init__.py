"""Delivery: client, lanes and failure policy; it knows nothing of Dagster."""
