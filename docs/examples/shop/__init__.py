"""A small shop's data platform on Dagster, the example of these docs."""
