"""The command `graph`: draws lineage as one HTML page."""
