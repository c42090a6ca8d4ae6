"""Wordings: where they come from, how they are judged, how sure they are, and how long prompts become short.

A *wording* is a `data.prompts.Template`: text with `{input}` (and `{labels}`) in it. The room's parts, low to high:

- `wording`: reads and checks templates; what is broken is named, or repaired where there is one way to mean it.
- `bundled`: the wordings that come with the package, in English and Chinese.
- `proposer`: a language model writes wordings from training examples, and rewrites good ones.
- `scorer`: one number a training row for a wording, by likelihood or by the task's metric.
- `log`: every event of a search as a line of JSON; a killed search replays it and goes on.
- `search`: successive halving over candidates, rewritten from round to round, within a number of model calls.
- `perturb`, `robust`: how far quality moves when a prompt is mistyped, shouted, reordered or said otherwise.
- `compress`, `curve`: tokens that a model finds least informative left out, and what that costs in quality.
- `page`: what people look at; HTML without scripts, apart from the votes of a person who judges.

`direct/hard_prompt.py` makes the search a method of every comparison; `luthier prompt` runs it alone.
"""
