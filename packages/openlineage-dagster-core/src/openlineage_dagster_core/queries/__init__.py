"""Parses the queries of assets: which tables they read, and what their columns are made from."""
