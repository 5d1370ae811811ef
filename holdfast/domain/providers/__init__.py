"""The senders that Holdfast knows, as data: one table per kind of service."""
