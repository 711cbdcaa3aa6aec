"""Networks of the releases 1.0 to 1.4.1 of the published programs, with all that only they need."""
