"""What Mechanism A costs the process that stores events."""
