"""`unsup-fast demo`."""
