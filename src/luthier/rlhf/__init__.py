"""From imitation over a reward model to a policy that learned from it: one recipe, one folder, one report.

pipeline  the recipe: stages, each a run of its own, what judges them, what is held out
parts     the rows of each stage: the judge learns from pairs that the reward never saw
stages    the runs, one after the other, resumed where a kill left them
measure   what each stage writes on prompts that none learned from, and what the judge says of it
"""
