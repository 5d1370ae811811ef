"""Takes webhooks in over HTTP and answers 2xx only once they are stored, by default on the bus. See `pipeline.py`."""
