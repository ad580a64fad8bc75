"""Silences what libraries say about themselves; what they say about a user's run stays."""

import logging
import warnings
from functools import partial

import torch
from transformers import modeling_gguf_pytorch_utils
from transformers.utils import logging as transformers_logging

# Advice that does not apply here, or that nobody who runs a recipe could follow.
_NOISE = (
    r".*LightningCLI's args parameter is intended.*",
    r".*does not have many workers.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*The number of training batches .* is smaller than the logging interval.*",
    r".*GPU available but not used.*",
    r".*isinstance\(treespec, LeafSpec\).*",  # Lightning 2.6 asks torch 2.13 in the old way
    r".*is_gradient_checkpointing.*",  # so does peft transformers
    r".*`tensorboardX` has been removed.*",
    r".*You defined a `validation_step` but have no `val_dataloader`.*",
    r".*Total length of `.*` across ranks is zero.*",  # a recipe without validation rows is allowed, and told so
    r".*`trainer\.fit` .* mid-epoch checkpoint.*",
    r".*You're resuming from a checkpoint that ended before the epoch ended.*",  # our loader resumes exactly
    r".*The dirpath has changed from.*",
)


# Of a part that is written for GPUs, which a CPU is advised to install.
_FALLBACK = "is falling back to its reference PyTorch implementation"


def _applies(record: logging.LogRecord) -> bool:
    return _FALLBACK not in str(record.msg) or torch.cuda.is_available()


def quieten() -> None:
    """Silence banners, tips and progress bars of Lightning, transformers and bitsandbytes; their errors stay."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)
        for handler in logger.handlers:
            handler.setLevel(logging.WARNING)
    # it warns at import, which a recipe's optimizer may be the first to ask for, that an optional kernel is not there
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    logging.getLogger("transformers.integrations.hub_kernels").addFilter(_applies)
    for text in _NOISE:
        warnings.filterwarnings("ignore", message=text)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    # it asks tqdm by itself, whatever transformers' own switch says
    parts = vars(modeling_gguf_pytorch_utils)
    parts["tqdm"] = partial(parts["tqdm"], disable=True)
