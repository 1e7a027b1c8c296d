"""`unsup-fast pca`."""
