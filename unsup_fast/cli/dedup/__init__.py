"""`unsup-fast dedup`."""
