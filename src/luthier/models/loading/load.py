"""Find and load a base model: embedded, a GGUF file, a folder, or a hub id.

    model, tokenizer = load_base(None)                       # the embedded SmolLM2-135M-Instruct
    model, tokenizer = load_base("path/to/folder")           # or "model.gguf", or "Qwen/Qwen3-0.6B"

Only safetensors are read and no code of a model's author is run: loading a model never executes what it brings.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError
from luthier.models.loading.bundled import embedded_model, import_once
from luthier.models.loading.explained import explained, needs_code
from luthier.models.loading.hashes import hash_of
from luthier.models.loading.quiet import quiet

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

EMBEDDED, ENCODER = "embedded", "embedded-encoder"
DTYPES = ("float32", "bfloat16", "float16")
_CONFIG, _INDEX = "config.json", "model.safetensors.index.json"
_HUB_SECONDS = 15
_AUTO = {"causal": "AutoModelForCausalLM", "encoder": "AutoModel", "seq2seq": "AutoModelForSeq2SeqLM"}
_SPOKEN = {"causal": "causal language model", "encoder": "encoder", "seq2seq": "encoder-decoder"}


def resolve(model: str | Path | None) -> Path | str:
    """Where the model is: a folder on this machine, or a hub id.

    Args:
        model: None or "embedded", "embedded-encoder", a *.gguf file (both are imported once into the cache), a folder,
            or a hub id.

    Raises:
        LuthierError: there is no such file or folder, or it holds no model that can be loaded.
    """
    if model is None or model == EMBEDDED:
        return embedded_model()
    if model == ENCODER:
        from luthier.models.loading.e5 import embedded_encoder

        return embedded_encoder()
    path = Path(model).expanduser()
    if path.suffix.lower() == ".gguf":
        if not path.is_file():
            raise LuthierError(f"{path}: there is no such file: check the path given as the model")
        return import_once(lambda: path, path.stem, hash_of(path))
    if path.is_dir():
        _check_folder(path)
        return path
    if path.exists():
        raise LuthierError(f"{path} is neither a folder nor a .gguf file: name the folder that holds {_CONFIG}")
    if isinstance(model, Path) or model.startswith((".", "~", "/", "\\")) or model.count("/") > 1 or "\\" in model:
        raise LuthierError(f"{path}: there is no such folder: check the path given as the model")
    return model


def load_base(
    model: str | Path | None, dtype: str = "float32", attention: str | None = None
) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """Load a language model (causal, encoder or encoder-decoder) in evaluation mode, and its tokenizer.

    Args:
        model: what `resolve` takes.
        dtype: of the weights: float32, bfloat16 or float16.
        attention: the name of an attention implementation known to transformers, which chooses one if none is named.

    Raises:
        LuthierError: the model is not there, is no such language model, lacks weights, has none in safetensors, or
            needs code of its own.
    """
    if dtype not in DTYPES:
        raise LuthierError(f"the weights' type {dtype!r} is not one of {', '.join(DTYPES)}")
    place = resolve(model)
    if isinstance(place, Path):
        return _load(place, str(place), dtype, attention)
    # A model that is whole in the hub's cache is loaded from there without asking the hub: quicker, the same tomorrow
    # as today, and without a network transformers would try for a minute before it looked there.
    folder = snapshot(place)
    if folder is None or not _is_whole(folder):
        check_hub(place)
        return _load(place, place, dtype, attention)
    return _load(folder, place, dtype, attention)


def described(model: str | Path | None) -> "tuple[PreTrainedConfig, PreTrainedTokenizerBase]":
    """A model's configuration and tokenizer, without its weights. Raises LuthierError as `load_base` does."""
    place = resolve(model)
    with explained(str(place)), quiet():
        return described_folder(place)


def described_folder(place: Path | str) -> "tuple[PreTrainedConfig, PreTrainedTokenizerBase]":
    """The same of a folder that may lack weights, or a hub id."""
    import transformers

    return (
        transformers.AutoConfig.from_pretrained(place, trust_remote_code=False),
        transformers.AutoTokenizer.from_pretrained(place, trust_remote_code=False),
    )


def auto_class(config: "PreTrainedConfig", name: str, whole: bool = True) -> Any:
    """The class of transformers that loads a model of this kind; whole: with what tells an encoder's masked tokens."""
    import transformers

    from luthier.models.loading.kinds import kind_of

    kind: str = kind_of(config, name)
    told = kind == "encoder" and any(a.endswith("ForMaskedLM") for a in getattr(config, "architectures", None) or ())
    return getattr(transformers, "AutoModelForMaskedLM" if told and whole else _AUTO[kind])


def _load(
    place: Path | str, name: str, dtype: str, attention: str | None
) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """Load from a folder or hub id, and let the model and its tokenizer say that they are from `name`."""
    import torch
    import transformers

    from luthier.models.loading.kinds import kind_of

    with explained(name), quiet():
        config = transformers.AutoConfig.from_pretrained(place, trust_remote_code=False)
        kind = kind_of(config, name)
        loaded: Any = auto_class(config, name).from_pretrained(
            place,
            dtype=getattr(torch, dtype),
            attn_implementation=attention or written_out(config, kind),
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        tokenizer: PreTrainedTokenizerBase = transformers.AutoTokenizer.from_pretrained(place, trust_remote_code=False)
    model: Any
    model, info = loaded  # output_loading_info
    # transformers fills what is missing with random numbers and says so in a warning only.
    # An encoder's pooler is not used here, and checkpoints of masked language models have none.
    absent = [key for key in info["missing_keys"] if kind != "encoder" or not key.startswith("pooler.")]
    if missing := sorted(absent):
        raise LuthierError(
            f"{name}: {len(missing)} weights are missing, the first is {missing[0]}: the model is incomplete or no "
            f"{_SPOKEN[kind]}. Get it again, or name another model."
        )
    model.name_or_path = model.config._name_or_path = tokenizer.name_or_path = name
    return model.eval(), tokenizer


def written_out(config: Any, kind: str) -> str | None:
    """Attention written out ("eager") for a causal model whose attention cannot be chosen once it is loaded.

    What is right must be asked of it later: with its other implementation Falcon's biases by distance count otherwise.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    if kind != "causal" or type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        return None
    found: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    return None if found._can_set_attn_implementation() else "eager"


def _read_object(path: Path) -> dict[str, Any]:
    """The JSON object in one of the model's files."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LuthierError(f"{path}: cannot be read as JSON ({error}): copy the model's folder again") from error
    if not isinstance(value, dict):
        raise LuthierError(f"{path}: is not a JSON object: copy the model's folder again")
    return value


def _check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be loaded, with what is missing, before anything slow is imported."""
    if not (folder / _CONFIG).is_file():
        hint = "Name the folder that holds it."
        if (folder / "adapter_config.json").is_file():
            hint = "It holds an adapter: name its base model here, and the adapter where one is asked for."
        elif files := sorted(folder.glob("*.gguf")):
            hint = f"It holds a GGUF file: name the file itself, {files[0]}."
        raise LuthierError(f"{folder}: has no {_CONFIG}, so it is not a model's folder. {hint}")
    _check_code(str(folder), _read_object(folder / _CONFIG))
    names = {path.name for path in folder.iterdir()}
    if _INDEX in names:
        shards = _read_object(folder / _INDEX).get("weight_map")
        if absent := sorted(set(shards.values() if isinstance(shards, dict) else ()) - names):
            raise LuthierError(f"{folder}: lacks {len(absent)} weight files, the first is {absent[0]}: copy it again")
    _check_weights(str(folder), names)


def _check_weights(place: str, names: set[str]) -> None:
    """Refuse a model without safetensors, by the names of its files."""
    if any(name.endswith(".safetensors") for name in names):
        return
    if any(name.endswith((".bin", ".pt", ".pth")) for name in names):
        raise LuthierError(
            f"{place}: its weights are pickle files (.bin), which can run code when they are loaded, so only "
            'safetensors are read. If you trust where they are from, convert them once: python -c "from transformers '
            f"import AutoModelForCausalLM as M, AutoTokenizer as T; p = '{place}'; "
            "[x.from_pretrained(p).save_pretrained('converted') for x in (M, T)]\" and name the folder `converted`."
        )
    raise LuthierError(f"{place}: holds no weights (no .safetensors file): get the model whole, or name another")


def _check_code(place: str, config: dict[str, Any]) -> None:
    """Refuse a model that transformers can only load by running code that comes with it."""
    if "auto_map" not in config:
        return
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if config.get("model_type") not in CONFIG_MAPPING:
        raise LuthierError(needs_code(place))


def snapshot(model: str) -> Path | None:
    """The folder of a hub model in the hub's cache, if there is one."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model, _CONFIG)
    except HFValidationError as error:
        raise LuthierError(
            f"{model!r} is no folder here and cannot be a hub id (owner/name): check it, or leave --model out for "
            "the embedded model"
        ) from error
    return Path(found).parent if isinstance(found, str) else None


def _is_whole(folder: Path) -> bool:
    """Whether all that was needed of a hub model has been downloaded."""
    try:
        _check_folder(folder)
    except LuthierError:
        return False
    return any(folder.glob("tokenizer*")) or any(folder.glob("vocab*"))


def check_hub(model: str) -> None:
    """Ask the hub whether there is such a model, with safetensors. transformers would try for a minute in vain."""
    from huggingface_hub import HfApi

    with explained(model):
        files = HfApi().model_info(model, timeout=_HUB_SECONDS).siblings or []
    _check_weights(model, {file.rfilename for file in files})
