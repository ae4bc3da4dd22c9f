"""What a change brings with it: dependencies, bills of material, advisories that fit, tests it makes weaker, blobs.

Pure functions on the bytes of base and head. Nothing is executed, resolved, fetched or written; what a file cannot be
read as is a fault that the policies judge, never silence.
"""
