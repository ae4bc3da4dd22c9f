"""The author's loop: policies are started from a bundle, written, checked, tested, built and compared.

Nothing here judges a live change, and nothing here activates a bundle.
"""
