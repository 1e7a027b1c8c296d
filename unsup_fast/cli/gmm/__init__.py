"""`unsup-fast gmm`."""
