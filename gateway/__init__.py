"""Takes webhooks in over HTTP; answers 2xx only once stored, on the bus or in the outbox: see `pipeline.py`."""
