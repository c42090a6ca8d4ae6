"""From text to a base model: one folder, one command, the loop that every method trains in.

    text --documents--> tokenizer --> a stream of tokens --the loop--> model --> bits a byte, beside plain compressors

- `texts/`: texts by name, a file each: where they come from, with checksums.
- `shapes/`: architectures by one number, their depth, a file each.
- `recipe`: what a file says. `prepare`: text, tokenizer, stream and a model of random weights, each made once.
- `run`: the training, and what is measured of it. `baselines`: what a byte costs without a model.

Nothing here trains: `runs.session` does, with an objective (`lm`, …) over `data.stream` as for any model.
"""
