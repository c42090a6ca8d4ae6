"""Keep transformers silent while it loads: what matters is checked and said by us."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no warnings from transformers inside; the hub's download bars stay as they were."""
    import huggingface_hub.utils
    import transformers.utils.logging

    hub: Any = huggingface_hub.utils
    logging: Any = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    # transformers' switch turns the hub's bars too, but a download of minutes should be seen.
    restore_hub = hub.disable_progress_bars if hub.are_progress_bars_disabled() else hub.enable_progress_bars
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    restore_hub()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
        restore_hub()
