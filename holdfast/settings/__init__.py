"""The only readers of the environment and of files: process settings, holdfast.yaml, secrets."""
