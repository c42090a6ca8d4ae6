"""From documents of several sources to one stream of tokens: how much of each, in which order.

    kept/ of each source --tokens--> DIR/sources/NAME/ --weights--> tokens of each --order--> DIR/tokens/

- `tokens`: token ids on disk, as flat files that any program maps into memory.
- `sources`: documents to tokens, with what curricula go by: length, perplexity, quality.
- `weights`: how many tokens of each source: natural, equal, by temperature, as asked, as a known model was trained.
- `order`: which document comes when: sources side by side, each at random or from easy to hard; a number decides.
- `mix`: all of it from a recipe; what is done is not done again.
"""
