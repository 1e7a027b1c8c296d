"""`unsup-fast fid`, `inception-score`, `kid` and `prdc`."""
