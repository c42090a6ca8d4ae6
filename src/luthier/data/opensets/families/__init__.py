"""Families of layouts: each file sets SETS, the sets whose rows look like that."""
