"""One module per way to tell people; each turns a notification into what the other side takes. Payloads are pure."""
