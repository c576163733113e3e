"""What is known of a run and its assets, and where it is found."""
