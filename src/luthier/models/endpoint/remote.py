"""A model behind a URL, asked through the interface that OpenAI's servers have: `http://HOST:PORT/v1#model`.

What it can do follows from what such a server gives: text, always; log-probabilities of a given text only where
`/completions` echoes the prompt with them. So labels are asked for and read from the answer, or, with
`endpoint.classify=logprobs`, compared by likelihood. Its weights are not here: only direct methods run on it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import urlsplit

from luthier.core import records
from luthier.core.errors import LuthierError, Refused
from luthier.core.phrases import say
from luthier.core.records import Message, Prompt, Record, Sampling
from luthier.data.prompts import ONLY, ONLY_CHINESE, Template, compose, templates
from luthier.data.rendering import tools_of, turn_values
from luthier.data.rows import RejectError
from luthier.data.shorten import Counted
from luthier.io.config import EndpointConfig
from luthier.io.files import write_json
from luthier.models.asking import Asking, Worded
from luthier.models.endpoint.client import Answer, Asked, Client, NotThereError, RejectedError, said
from luthier.models.endpoint.label_match import named
from luthier.models.loading.bundled import cache_dir

if TYPE_CHECKING:
    from torch import Tensor

LABEL_ROOM = 32  # tokens of an answer that should be a label, at least
NO_LOGPROBS = say("said_refused_logprobs")


def is_endpoint(model: object) -> bool:
    """Whether a model's name is an address."""
    return isinstance(model, str) and model.startswith(("http://", "https://"))


def is_remote(lm: object) -> bool:
    """Whether only the model's answers can be had, not its weights."""
    return bool(getattr(lm, "remote", False))


def answering(lm: object) -> float:
    """Seconds in which an endpoint has answered so far; 0 for a model that is here."""
    return float(lm.client.spent) if isinstance(lm, EndpointLM) else 0.0


def load(model: str, config: EndpointConfig) -> EndpointLM:
    """The model at an address. Raises LuthierError where nothing answers there or the address names no model."""
    url, _, name = model.partition("#")
    parts = urlsplit(url)
    if not parts.hostname:
        raise LuthierError(f"{model}: write http://HOST:PORT/v1#model-name")
    if parts.username or parts.password or parts.query:
        raise LuthierError(f"{parts.hostname}: keys do not belong in an address: set LUTHIER_API_KEY or OPENAI_API_KEY")
    client = Client(url, config, cache_dir() / "endpoint")
    try:
        listed = client.get("/models").get("data")
    except (NotThereError, RejectedError):  # it need not list its models
        listed = None
    known = [str(m["id"]) for m in listed if isinstance(m, dict) and "id" in m] if isinstance(listed, list) else []
    if not name and len(known) != 1:
        raise LuthierError(f"{model}: name the model after a #{', one of ' + ', '.join(known[:10]) if known else ''}")
    digest = hashlib.sha256(f"{client.url}#{name or known[0]}".encode()).hexdigest()[:16]
    return EndpointLM(client, name or known[0], model, digest)


@dataclass
class EndpointLM(Worded):
    """A model that only answers, with a wording and worked examples. model: its name there; name: as the user gave it.

    key: fingerprint of address and model. The rest as in `TrainableLM`.
    """

    client: Client
    model: str
    name: str
    key: str
    asking: Asking = field(default_factory=Asking)
    progress: Callable[[int, int], None] | None = None
    known: dict[str, Any] = field(default_factory=dict)  # what was learned about the server, shared by all wordings
    counted: Counted = field(default_factory=Counted, repr=False, compare=False)

    remote = True
    virtual = ()

    @property
    def can(self) -> frozenset[str]:
        """What may be asked; the first look costs a call where log-probabilities could be had."""
        plain = frozenset({"generate", "predict"})
        return plain | {"logprobs"} if not self._template(self.labels).chat and self._echoes() else plain

    cannot = NO_LOGPROBS

    def lacks(self, ability: str) -> str | None:
        """The fact why it cannot do that (one of `can`), or None when it can."""
        return None if ability in self.can else self.cannot

    def mute(self, labels: Sequence[str]) -> str | None:
        """None: it answers. Likelihoods that it turns out not to give are refused, with its words, where asked for."""
        return None

    @property
    def output(self) -> str:
        """What it gives: labels or text."""
        return "labels" if self.labels else "text"

    @property
    def context(self) -> int:
        """The longest prompt with its answer, in tokens, as the user said."""
        return self.client.config.context

    def length(self, prompt: Prompt, labels: Sequence[str] = ()) -> int:
        """Tokens of the worded prompt, estimated on the safe side: two bytes each."""
        composed = compose(self._template(labels), prompt, labels, self.shots_for(prompt))
        texts = [composed] if isinstance(composed, str) else [m.content for m in composed]
        return sum(len(t.encode("utf-8", "replace")) // 2 + 8 for t in texts)

    def wordings(self, labels: Sequence[str], chinese: bool = False) -> Sequence[Template]:
        """The wordings that a method may choose among: for labels that are asked for, those that name them."""
        if self.only:
            return (self.only,)
        known = templates(labels, chinese)
        if not labels:
            return known
        if self.client.config.classify == "logprobs":
            return [t for t in known if not t.chat]
        return [known[0], ONLY_CHINESE, ONLY] if chinese else [*(t for t in known if "{labels}" in t.text), ONLY]

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[str]:
        """One answer a prompt; a plain wording's answer ends with its line."""
        texts = self._answers(prompts, (), sampling)
        return texts if self._template(()).chat else [t.split("\n", 1)[0].strip() for t in texts]

    def predict(self, texts: Sequence[str], labels: Sequence[str]) -> Tensor:
        """(N, K) log-probabilities. Read from an answer they are 0 for its label and -inf for the others.

        A row is -inf throughout where the answer names no label, or several.
        """
        import torch

        if self.client.config.classify == "logprobs":
            sizes = torch.tensor([float(len(label.encode())) for label in labels])
            found = self._scored([(t, label) for t in texts for label in labels], labels)
            sums = torch.tensor([sum(values) for values in found]).reshape(len(texts), len(labels))
            return torch.log_softmax(sums / sizes, -1)
        room = max(LABEL_ROOM, *(len(label.encode()) for label in labels))
        out = torch.full((len(texts), len(labels)), -torch.inf)
        for row, answer in enumerate(self._answers(texts, labels, Sampling(room))):
            if (label := named(answer, labels)) is not None:
                out[row, label] = 0.0
        return out

    def logprobs(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Tensor]:
        """Log-probability in nats of each answer token. Raises Refused where the endpoint does not give them."""
        import torch

        return [torch.tensor(values) for values in self._scored(pairs, self.labels)]

    def save(self, folder: Path) -> None:
        """Wording and worked examples in `luthier.json`."""
        template = asdict(self.template) if self.template else None
        shots = [records.record_values(s) for s in self.shots]
        write_json(folder / "luthier.json", {"template": template, "shots": shots, "labels": list(self.labels)})

    def restore(self, wording: dict[str, Any]) -> EndpointLM:
        """What `save` wrote, applied to this model."""
        template = Template(**wording["template"]) if wording["template"] else None
        shots = tuple(_record(values) for values in wording["shots"])
        return self.asked(template=template, shots=shots, labels=tuple(wording["labels"]))

    # -- requests ------------------------------------------------------------------------------------------------

    def _template(self, labels: Sequence[str]) -> Template:
        return self.template or (self.wordings(labels)[0])

    def _asked(self, prompt: Prompt, labels: Sequence[str], sampling: Sampling) -> Asked:
        composed = compose(self._template(labels), prompt, labels, self.shots_for(prompt))
        body: Answer = {"model": self.model, self.known.get("room", "max_tokens"): sampling.max_new_tokens}
        if not self.known.get("cold"):
            body["temperature"] = sampling.temperature
        if sampling.temperature:
            body |= {"top_p": sampling.top_p, "seed": sampling.seed}
        if isinstance(composed, str) and not self.known.get("chat only"):
            return "/completions", body | {"prompt": composed, "stop": ["\n"]}
        messages = (Message("user", composed),) if isinstance(composed, str) else composed
        declared = {"tools": json.loads(tools)} if (tools := tools_of(messages)) else {}
        turns = [turn_values(m, texts=True, reasoning=("reasoning_content",)) for m in messages]
        return "/chat/completions", body | {"messages": turns} | declared

    def _answers(self, prompts: Sequence[Prompt], labels: Sequence[str], sampling: Sampling) -> list[str]:
        """Texts of the answers. What the server turns out not to take is left out, and asked again without."""
        for _ in range(4):
            asked = [self._asked(p, labels, sampling) for p in prompts]
            try:
                return [self._text(a, path) for a, (path, _) in zip(self._all(asked), asked, strict=True)]
            except NotThereError:
                if self.known.get("chat only") or asked[0][0] != "/completions":
                    raise
                self.known["chat only"] = True
            except RejectedError as error:
                if "max_completion_tokens" in str(error) and "room" not in self.known:
                    self.known["room"] = "max_completion_tokens"
                elif "temperature" in str(error) and not self.known.get("cold"):
                    self.known["cold"] = True  # it decides itself how it samples
                else:
                    raise
        raise AssertionError("each try learns one of three things")

    def _all(self, asked: Sequence[Asked]) -> list[Answer]:
        return self.client.ask_all(asked, self.progress)

    def _text(self, answer: Answer, path: str) -> str:
        try:
            choice = answer["choices"][0]
            text = choice["text"] if "text" in choice else said(choice["message"])
        except (AttributeError, KeyError, IndexError, TypeError, RejectError):
            raise LuthierError(
                f"{self.client.url}{path}: not an answer of a chat server: {str(answer)[:200]}"
            ) from None
        return str(text or "").strip()

    # -- log-probabilities ---------------------------------------------------------------------------------------

    def _echoes(self) -> bool:
        if "echo" not in self.known:
            try:
                self._echo([("a", " b")])
                self.known["echo"] = True
            except Refused:
                self.known["echo"] = False
        return bool(self.known["echo"])

    def _scored(self, pairs: Sequence[tuple[Prompt, str]], labels: Sequence[str]) -> list[list[float]]:
        template = self._template(labels)
        if template.chat:
            raise Refused(say("said_refused_logprobs_chat"))
        texts = [(compose(template, p, labels, self.shots_for(p)), template.gap + answer) for p, answer in pairs]
        return self._echo([(t if isinstance(t, str) else t[-1].content, answer) for t, answer in texts])

    def _echo(self, pairs: Sequence[tuple[str, str]]) -> list[list[float]]:
        """Log-probabilities of each pair's second text behind its first. Raises Refused where there are none."""
        settings = {"model": self.model, "max_tokens": 1, "temperature": 0.0, "logprobs": 1, "echo": True}
        try:
            answers = self._all([("/completions", settings | {"prompt": p + a}) for p, a in pairs])
        except (NotThereError, RejectedError) as error:
            raise Refused(say("said_refused_logprobs_why", reason=str(error))) from None
        return [_echoed(answer, *pair) for answer, pair in zip(answers, pairs, strict=True)]


def _echoed(answer: Answer, prompt: str, continued: str) -> list[float]:
    """The values of the tokens that reach into the second text. Offsets are characters from the prompt's start."""
    try:
        found = answer["choices"][0]["logprobs"]
        tokens, values = found["tokens"], found["token_logprobs"]
        starts = found.get("text_offset") or [sum(map(len, tokens[:i])) for i in range(len(tokens))]
        ends = [*starts[1:], starts[-1] + len(tokens[-1])]
        last = len(prompt) + len(continued)
        chosen = [v for v, a, b in zip(values, starts, ends, strict=True) if b > len(prompt) and a < last]
        if starts[0] != 0 or ends[-1] < last:
            raise ValueError
        return [float(v) for v in chosen]
    except (KeyError, IndexError, TypeError, ValueError):
        raise Refused(NO_LOGPROBS) from None


def _record(values: dict[str, Any]) -> Record:
    """A record from its plain values, whatever its kind."""
    r = records
    kinds: tuple[Any, ...] = get_args(r.Record)
    for kind in kinds:
        if {f.name for f in dataclasses.fields(kind)} == set(values):
            given = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
            if "messages" in given:
                given["messages"] = tuple(Message(**m) for m in given["messages"])
            found: Record = kind(**given)
            return found
    raise LuthierError(f"luthier.json: no kind of row has the fields {', '.join(values)}")
