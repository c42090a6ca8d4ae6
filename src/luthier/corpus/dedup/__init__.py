"""The same text twice: exactly, nearly, in long substrings; within a text, in a corpus, against what is kept."""
