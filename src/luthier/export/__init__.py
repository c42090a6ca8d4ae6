"""A finished run as files that other programs load: PEFT adapters, plain transformers folders, GGUF files.

Every export is written beside its place, loaded again the way its readers will, compared with the run (`parity`), and
moved into its place only when it says the same.
"""
