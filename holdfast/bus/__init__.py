"""holdfast/bus."""
