"""What transformers and the hub raise when a model cannot be loaded, said so that one knows what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from luthier.core.errors import LuthierError

# Of the hub's HTTP client, which differs between its versions: known by name so that neither needs to be installed.
_NETWORK_ERRORS = {"ConnectError", "ConnectTimeout", "ReadTimeout", "NetworkError", "ProxyError"}


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what transformers and the hub raise into a LuthierError."""
    try:
        yield
    except LuthierError:
        raise
    except Exception as error:
        raise LuthierError(_reason(name, error)) from error


def _reason(place: str, error: Exception) -> str:
    """What went wrong and what to do, from the error and those that led to it."""
    from huggingface_hub import errors

    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)

    def caused_by(*kinds: type[BaseException]) -> bool:
        return any(isinstance(each, kinds) for each in chain)

    if caused_by(errors.GatedRepoError):
        return f"{place}: its owner asks for an agreement: accept it on the model's hub page, then run `hf auth login`"
    if caused_by(errors.RepositoryNotFoundError, errors.HFValidationError):
        return f"{place}: there is no such folder here and no such model on the hub (or it is private): check the name"
    unreachable = (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, ConnectionError, TimeoutError)
    if caused_by(*unreachable) or any(type(each).__name__ in _NETWORK_ERRORS for each in chain):
        return (
            f"{place}: is no folder here, is not in the hub's cache, and the hub cannot be reached: connect to a "
            "network, or name a model folder with --model, or leave it out for the embedded model"
        )
    text = str(error).strip().splitlines()[0] if str(error).strip() else ""
    if "trust_remote_code" in str(error):
        return needs_code(place)
    if "backend tokenizer" in text:
        return f"{place}: has no tokenizer that can be loaded (tokenizer.json): copy the model's folder whole"
    return f"{place}: the model cannot be loaded ({type(error).__name__}: {text}): check that it is whole"


def needs_code(place: str) -> str:
    """Why a model is not loaded that brings code of its own."""
    return (
        f"{place}: needs Python code that comes with the model, and code from models is never run. Use a model of an "
        "architecture that transformers has itself (Llama, Qwen, Gemma, Mistral...), or a newer transformers."
    )
