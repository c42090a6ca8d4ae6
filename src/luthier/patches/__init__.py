"""Where the change lives: one file a patch, found by its name (`luthier.core.catalog`)."""
