"""Importing from Argo."""
