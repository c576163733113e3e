"""Builders of OpenLineage facets, one module a family."""
