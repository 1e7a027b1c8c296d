"""Rows that a user may hand in: host arrays, sources of blocks, and tensors on a device."""
