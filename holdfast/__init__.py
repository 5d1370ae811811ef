"""Holdfast: durable webhooks over NATS JetStream and Temporal; the packages every process shares."""

__version__ = "0.1.0"
