"""`unsup-fast kmeans`."""
