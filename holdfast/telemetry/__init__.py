"""holdfast/telemetry."""
