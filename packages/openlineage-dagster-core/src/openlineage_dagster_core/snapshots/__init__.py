"""What only the process that executes a run knows, kept in the instance for who delivers it."""
