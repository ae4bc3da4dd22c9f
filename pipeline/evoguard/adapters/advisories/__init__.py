"""The imported database of advisories: one file, named by the digest of its bytes, proved at each use."""
