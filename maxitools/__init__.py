"""What the two commands share; each module has one job."""
