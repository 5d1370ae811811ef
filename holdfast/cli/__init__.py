"""holdfast/cli."""
