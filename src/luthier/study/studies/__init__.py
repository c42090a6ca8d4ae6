"""One file a study. The docstring is the command's help, `STUDY` its class; nothing is registered anywhere else."""
