"""What Mechanism A costs a process that stores events."""
