"""How surprising texts are: under counts of a reference text, or under a causal language model.

judge = of_reference("good/")        # nats a word
judge = of_model("embedded")         # nats a token, of a text's first 512
judge(column) -> (texts)             # 0 where there is nothing to judge
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from luthier.corpus import read
from luthier.corpus.ngrams import NGrams
from luthier.corpus.texts import Texts
from luthier.io.places import place

if TYPE_CHECKING:
    import pyarrow as pa

AT_ONCE = 1000  # texts of a reference that are in memory together
LONGEST = 512  # tokens that a model reads of a text
Surprise = Callable[["pa.Array | pa.ChunkedArray"], NDArray[np.float64]]


def of_reference(reference: str) -> Surprise:
    """Under counts of a file's or a folder's texts. Raises LuthierError where there are none."""
    model = counted(reference)
    return lambda column: model.surprise(Texts(column))


def counted(reference: str) -> NGrams:
    """A reference, counted once a process as long as its files are the same."""
    return _counted(reference, read.marks(reference))


@cache
def _counted(reference: str, marks: read.Marks) -> NGrams:
    import pyarrow as pa

    def columns() -> Iterator[pa.ChunkedArray]:
        texts = read.texts([place(reference)])
        while part := list(islice(texts, AT_ONCE)):
            yield pa.chunked_array([pa.array(part, pa.large_string())])

    return NGrams.of(columns())


def of_model(model: str) -> Surprise:
    """Under a causal model: embedded, a folder, a GGUF file or a hub id. Raises LuthierError."""
    marks = read.marks(model) if Path(model).exists() else ()
    return lambda column: _nats(_lm(model, marks), [text or "" for text in column.to_pylist()])


@cache
def _lm(model: str, marks: read.Marks) -> Any:
    from luthier.models import machine
    from luthier.models.causal import CausalLM
    from luthier.models.loading.load import load_base

    machine.threads(1)  # workers are as many as cores; and another number of threads would change the last bits
    return CausalLM.wrap(*load_base(model), model)


def _nats(lm: Any, texts: list[str]) -> NDArray[np.float64]:
    """Nats a token of each text, on average, the first one told by what begins every text."""
    out = np.zeros(len(texts))
    begin = next(i for i in (lm.tokenizer.bos_token_id, lm.tokenizer.eos_token_id, 0) if i is not None)
    room = min(LONGEST, lm.context - 1)
    ids = [
        lm.tokenizer(text[: 8 * room], add_special_tokens=False, verbose=False)["input_ids"][:room] for text in texts
    ]
    said = [at for at, tokens in enumerate(ids) if tokens]
    for at, (found,) in zip(said, lm.continuations([([begin], [ids[at]]) for at in said]), strict=True):
        out[at] = -float(found.mean())
    return out
