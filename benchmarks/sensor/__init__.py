"""How Mechanism B keeps up with the event log."""
