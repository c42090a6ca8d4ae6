"""Tokenizers: trained on clean text, existing ones by name, and how many tokens they take for a language.

    documents --train (a file a kind)--> folder that transformers loads
    name, folder, gpt2 --known--> tokenizer --fertility--> tokens a character, a word, by language; a page

- `kinds/`: how each kind is trained: `bpe` (bytes), `unigram` and `sentencepiece_bpe` (SentencePiece's two).
- `known`: the tokenizer of a folder, of a base, of GPT-2.
- `fertility`: what it makes of text.

Every text comes back as it was, whatever stands in it: kinds have no normalisation and a token for each byte.
"""
