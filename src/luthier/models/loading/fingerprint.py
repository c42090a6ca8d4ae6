"""What a model's folder holds, by content: weights, configuration, tokenizer and chat template apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.models.loading import load
from luthier.models.loading.hashes import hashes

CONFIGURATION = ("config.json", "generation_config.json")
TOKENIZER = (
    "tokenizer.json", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt", "*.model", "*.tiktoken",
)  # fmt: skip
TEMPLATES = ("chat_template.*", "additional_chat_templates/*")
_SETTINGS = "tokenizer_config.json"  # of the tokenizer, but for the template that it may hold


def fingerprint(model: str | Path | None) -> str:
    """A short hash of all that a model's files say. Raises LuthierError as `parts` does."""
    return _digest(parts(model))


def parts(model: str | Path | None) -> dict[str, str]:
    """A short hash of each of a model's parts: weights, configuration, tokenizer, chat template.

    Weights are read whole, once (`hashes`); a hub model must have been loaded once.

    Raises:
        LuthierError: the model is not there.
    """
    place = load.resolve(model)
    folder = place if isinstance(place, Path) else load.snapshot(place)
    if folder is None:
        raise LuthierError(f"{place}: is not in the hub's cache: load it once with a network")
    settings = _settings(folder / _SETTINGS)
    template = settings.pop("chat_template", None)
    return {
        "weights": _of_files(folder, ["*.safetensors"]),
        "configuration": _of_files(folder, CONFIGURATION),
        "tokenizer": _digest([_of_files(folder, TOKENIZER), settings]),
        "chat template": _digest([_of_files(folder, TEMPLATES), template]),
    }


def _of_files(folder: Path, patterns: Iterable[str]) -> str:
    found = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    return _digest([[str(path.relative_to(folder)) for path in found], hashes(found)])


def _settings(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise LuthierError(f"{path}: cannot be read as JSON ({error}): copy the model's folder again") from None
    return found if isinstance(found, dict) else {"": found}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
