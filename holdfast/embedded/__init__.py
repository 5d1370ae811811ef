"""The servers on one machine, out of their wheels: nats-server and Temporal, supervised with gateway and worker."""
