"""What the deliverer of Mechanism A costs, and how fast it is."""
