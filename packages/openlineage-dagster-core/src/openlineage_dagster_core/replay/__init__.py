"""The event log once more: what its runs give, converted and sent again."""
