"""What is minimised: one file an objective, found by its name (`luthier.core.catalog`)."""
