"""`unsup-fast predict`."""
