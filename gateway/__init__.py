"""Takes webhooks in over HTTP; answers 2xx only once they are stored on the bus or the outbox. Begin with `pipeline.py`."""
