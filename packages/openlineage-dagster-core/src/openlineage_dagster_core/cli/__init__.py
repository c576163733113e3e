"""The command line `openlineage-dagster`.

Its modules import Dagster, openlineage-python, rich and requests only inside the commands that need
them: help and completion answer at once.
"""
