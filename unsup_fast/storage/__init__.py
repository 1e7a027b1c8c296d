"""Files on disk: atomic replacement, checksums, locks, and the files of fitted estimators."""
