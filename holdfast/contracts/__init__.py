"""What crosses Temporal: names and payload models; recorded histories hold them."""
