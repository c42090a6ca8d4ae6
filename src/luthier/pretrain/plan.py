"""What a recipe of pre-training will take, before there is a text, a tokenizer or a model."""

from __future__ import annotations

from pathlib import Path

from luthier.core import plugins
from luthier.core.errors import is_our_fault
from luthier.corpus.tokenizers.known import known
from luthier.models.loading.empty import stand_in
from luthier.planning.before import MEASURING
from luthier.planning.job import Job, described, text_of, vocabulary_of
from luthier.planning.plan import made, settled
from luthier.planning.spoken import brief
from luthier.pretrain.prepare import PASSAGE, PASSAGES, Prepared, of_stream, special_of
from luthier.pretrain.recipe import Pretraining, Tokens
from luthier.pretrain.run import check, settings

NOWHERE = Path("none")
HELD = 140 << 20  # bytes, measured: libraries that read text, learn a tokenizer and write its tokens
LOOK = PASSAGES * PASSAGE // 4  # tokens of a look at held-out passages, of four characters each


def job_of(recipe: Pretraining) -> Job:
    """The job of the run that it leads to, on a text that fills every example. Raises LuthierError."""
    check(recipe)
    made = Prepared(NOWHERE, NOWHERE, NOWHERE, NOWHERE, NOWHERE)
    run = settings(recipe, made, NOWHERE, recipe.model or "none")
    if recipe.model:
        config, words = described(recipe.model)
    else:
        ids = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
        make = plugins.members("shapes")[recipe.shape.kind].load("config")
        config, words = make(recipe.shape.depth, _vocabulary(recipe), recipe.shape.context, ids), None
    length = int(run.objective.get("max_length", recipe.shape.context))
    told = f"a text that fills all examples of {length:,} tokens"
    words = words or stand_in(("a", *special_of(recipe)))
    return Job(run, config, words, text_of(vocabulary_of(config), length), LOOK, HELD, told)


def told(recipe: Pretraining) -> str:
    """The line before a run; "" where no plan can be made. Raises LuthierError for options that are wrong."""
    check(recipe)
    try:
        return brief(made(settled(job_of(recipe)), measuring=MEASURING))
    except Exception as error:  # the run goes on without it, and says what is wrong with the rest
        if is_our_fault(error):
            raise
        return ""


def _vocabulary(recipe: Pretraining) -> int:
    if isinstance(recipe.tokenizer, Tokens):
        return recipe.tokenizer.size
    return int(known(recipe.tokenizer or of_stream(recipe)).get_vocab_size())
