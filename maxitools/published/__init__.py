"""The networks of the releases 1.0 to 1.4.1, with all that only they need."""
