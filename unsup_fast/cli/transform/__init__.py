"""`unsup-fast transform`."""
