"""holdfast/temporal."""
