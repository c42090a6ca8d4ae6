"""Kinds of tokenizers: a file each, with `train(texts, size, special) -> tokenizers.Tokenizer`."""
