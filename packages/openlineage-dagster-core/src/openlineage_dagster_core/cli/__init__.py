"""The command line `openlineage-dagster`, for whoever sets this up and whoever is paged at night.

Its modules import nothing heavy until a command needs it: help and completion answer at once.
"""
