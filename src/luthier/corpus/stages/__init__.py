"""Steps that a recipe names, one file each; nothing is registered. A member sets `STAGE`, a class as `stage.Stage`
says, whose fields are its options; another package adds one by an entry point of `luthier.stages`."""
