"""Methods that do not go through the training loop: one file a method, found by its name (`luthier.core.catalog`)."""
