"""Takes webhooks in over HTTP and answers 2xx only once the bus has stored them. Read `pipeline.py` first."""
