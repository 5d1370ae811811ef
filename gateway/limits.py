"""Every bound of the gateway in one place, with where it comes from."""

from datetime import timedelta

ANSWER_WITHIN = timedelta(seconds=2.5)
"""From the end of the body to the answer; the strictest known sender gives up after 2 s and a connect of 3 s."""

PUBLISH_WITHIN = timedelta(seconds=2)
"""For the bus to store an event; after that the outcome is unknown and the sender is asked to repeat."""

LARGE_ANSWER_WITHIN = timedelta(seconds=9)
"""The same for a body over 128 KiB, which is stored apart first; GitHub, who sends up to 25 MB, waits 10 s."""

STORE_BODY_WITHIN = timedelta(seconds=5)
"""For the bus to store such a body, a piece at a time."""

MAX_STRUCTURED = 1_048_576  # bytes of a structured CloudEvent or a batch, whose parts are read in memory

PUBLISH_BEFORE_SPOOLING = timedelta(seconds=1.5)
"""The same where an outbox stands behind the bus: a second is left for a slow disk."""

HEADERS_WITHIN = timedelta(seconds=10)
"""From the connection (or the first byte of a further request) to the end of the headers."""

BODY_WITHIN = timedelta(seconds=10)
"""From the end of the headers to the end of the body."""

LINGER = timedelta(seconds=1)
"""How long a refused body is still read and thrown away, so that the sender sees the answer and not a reset."""

LINGER_BYTES = 4_194_304  # bytes thrown away at most, likewise

WRITE_WITHIN = timedelta(seconds=10)
"""For a client to take the answers that wait for it, before its connection is cut."""

MAX_PIPELINED = 16  # requests that wait on one connection; the server would parse and keep all that come

MAX_HEADERS = 128  # in one request; real senders and their proxies together stay under 60

MAX_HEADER_BYTES = 65_536  # request line and headers together; common proxies allow 8 to 64 KiB

MAX_BUFFERED = 67_108_864  # bytes of bodies held at once, two of 25 MiB; above it new ones are asked to come again

UNKNOWN_CAP = 26_214_400  # bytes read for a path of no source: what a source accepts by default

MAX_BATCH = 500  # CloudEvents in one batch; one disk stores about 1,000 a second, and the sender waits for all

MAX_HANDSHAKE = 65_536  # bytes; a larger body is not looked into for a handshake

CONFIRM_WITHIN = timedelta(seconds=10)
"""For a provider to take the confirmation of a subscription."""

CONFIRM_AGAIN = (timedelta(seconds=2), timedelta(seconds=10), timedelta(seconds=30))
"""Waits before it is tried again."""

MAX_CONFIRMING = 32  # subscriptions at once; they are made by hand, one by one

MAX_QUERY_FIELDS = 100

RETRY_AFTER = (5, 30)
"""Seconds, drawn evenly, so that senders who were refused together do not come back together."""

RETRY_AFTER_CONCURRENT = (1, 5)
"""Seconds, likewise, for senders that sent too much at once."""

OPS_CONNECTIONS = 64  # open on the operators' port

SPARE_FILES = 128
"""File descriptors left for what is no connection on the public port: bus, outbox, the operators' port."""
MAX_WAITING = 256  # requests that wait for an outcome at once; above it they are answered 202 at once

ASK_AGAIN = timedelta(seconds=1)
"""How often the workers are asked about an event that was known before, of which no news may come."""

STATUS_WITHIN = timedelta(seconds=10)
"""For the whole of `GET /events/…`: reading the bus and asking a worker."""

MAX_STATUS = 16  # status questions at once; above it they are asked to come again

REJECTIONS_QUEUED = 200  # refused requests that wait to be written down; above it they are only counted

REJECTIONS_BURST = 50
REJECTIONS_RATE = 5.0  # per second and source after the burst: writing them down must cost the disk next to nothing

MAX_HASHED = 1_048_576  # bytes of a refused body that is hashed for the log

KEEP_ALIVE = timedelta(seconds=30)
"""How long an idle connection stays; longer than most senders' own pools, so that they close first."""

DRAIN = timedelta(seconds=3)
"""For requests under way when the process is asked to stop."""

PREPARE_AGAIN = (timedelta(milliseconds=250), timedelta(seconds=5))
"""First and longest wait between attempts to prepare the bus; it doubles from one to the other."""

VERIFY_EVERY = timedelta(seconds=60)
"""How often streams and fsync are verified again, besides after every reconnection."""

DRAIN_PUBLISH_WITHIN = timedelta(seconds=5)
"""For the bus to store an event out of the outbox; no sender waits for it."""

DRAIN_WINDOW = 32
"""Events of the outbox under way to the bus at once: one at first, and after trouble, then doubled up to this."""

DRAIN_AGAIN = (timedelta(milliseconds=250), timedelta(seconds=10))
"""First and longest wait before the outbox is tried again; it doubles, and a random part of it is left out."""

DRAIN_LOOK = timedelta(milliseconds=250)
"""How often the outbox looks whether the bus is back; it asks nobody."""
