"""Recipes from the net: `--config https://host/recipe.yaml#sha256=...`, `--config hf://owner/name/recipe.yaml#sha256=...`.

The contract: what is read from the net is named with the digest of its bytes, so that what a team has looked at is what
runs, today and in a year, whoever has come to own the address. Without a digest nothing is read out of it, and the
message says the one that is there now. Beyond that,

- https alone, with the certificate checked; at most five redirections, each of them again https;
- no address of this machine or of a private network, looked up once and connected to as it was looked up, so that a
  name cannot mean another address a moment later; proxies of the environment are therefore not used;
- at most the size of any recipe, within half a minute; nothing is kept, and every command reads it again;
- a recipe from the net names no file of this machine, neither relative (there is no folder beside it) nor absolute;
  an overlay or the command line may.

`hf://owner/name/path` is a file of a model's repository, `hf://datasets/owner/name/path` one of a data set's;
`?revision=` chooses a branch, tag or commit. It goes through the hub's own client, which transformers brings: that
keeps the file in the hub's cache, as it does with bases, and reads it from there offline.
"""

import hashlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import SplitResult, parse_qsl, urlsplit

from tunesmith.errors import RecipeError
from tunesmith.recipe.public_https import read
from tunesmith.recipe.read_yaml import MAX_BYTES

_HTTPS, _HUB = "https", "hf"
_KINDS = {"datasets": "dataset", "spaces": "space", "models": "model"}
_DIGEST = re.compile(r"sha256=([0-9a-f]{64})")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*\.ya?ml", re.ASCII)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A recipe that was read from the net.

    Args:
        address: Where it lies, without its digest.
        name: Its file name.
        content: Its bytes, which have the digest that was asked for.
    """

    address: str
    name: str
    content: bytes


def is_remote(config: str) -> bool:
    """Whether a `--config` is an address of the net."""
    return "://" in config and not config.startswith("package://")


def fetch(config: str) -> Fetched:
    """Read a recipe from the net.

    Raises:
        RecipeError: The address is not one that is read, carries no digest or another one than what lies there has, or
            cannot be read.
    """
    address, _, fragment = config.partition("#")
    parts = _split(config)
    name = PurePosixPath(parts.path).name
    if not _NAME.fullmatch(name):
        msg = f"{config}: the address of a recipe ends in its file's name, such as recipe.yaml"
        raise RecipeError(msg)
    wanted = _DIGEST.fullmatch(fragment)
    if fragment and wanted is None:
        msg = f"{config}: #{fragment} is no digest; it is #sha256= and 64 digits from 0 to f"
        raise RecipeError(msg)
    content = _from_hub(address, parts) if parts.scheme == _HUB else read(address, MAX_BYTES)
    if len(content) > MAX_BYTES:
        msg = f"{address} is larger than {MAX_BYTES // 2**20} MiB, which a recipe may have at most"
        raise RecipeError(msg)
    found = hashlib.sha256(content).hexdigest()
    if wanted is None:
        msg = (
            f"{address} is named without its digest, so that another recipe could lie there tomorrow\n"
            f"save it and look at it: lightning-cli recipes cp {shlex.quote(f'{address}#sha256={found}')}\n"
            f"then use the copy, or that address ({len(content):,} bytes lie there now)"
        )
        raise RecipeError(msg)
    if found != wanted[1]:
        msg = f"{address} is not what its digest says: {wanted[1]} is asked for, {found} is there now; look at it first"
        raise RecipeError(msg)
    return Fetched(address, name, content)


def _split(config: str) -> SplitResult:
    try:
        parts = urlsplit(config)
        known = parts.scheme in (_HTTPS, _HUB) and parts.hostname and (parts.scheme == _HTTPS or parts.port is None)
        secret = parts.username is not None or parts.password is not None
    except ValueError as error:
        msg = f"{config} is no address: {error}"
        raise RecipeError(msg) from error
    if parts.scheme == "http":
        msg = f"{config}: over http anybody on the way can change it; only https:// is read"
        raise RecipeError(msg)
    if secret:
        msg = f"{config.partition('://')[0]}://: an address with a name or password in it is not read; save the recipe"
        raise RecipeError(msg)
    if not known:
        msg = (
            f"{config} is not read; a recipe is a file, package://import_name/path, https://... or hf://owner/name/path"
        )
        raise RecipeError(msg)
    return parts


def _from_hub(address: str, parts: SplitResult) -> bytes:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache

    words = [parts.netloc, *parts.path.strip("/").split("/")]
    kind = _KINDS[words.pop(0)] if words[0] in _KINDS else "model"
    options = dict(parse_qsl(parts.query))
    if len(words) < 3 or ".." in words or options.keys() - {"revision"}:
        msg = f"{address} is not hf://owner/name/path/recipe.yaml, with ?revision= where it is needed"
        raise RecipeError(msg)
    repository, file = "/".join(words[:2]), "/".join(words[2:])
    revision = options.get("revision")
    try:
        cached = try_to_load_from_cache(repository, file, revision=revision, repo_type=kind)
        if not isinstance(cached, str):
            size = get_hf_file_metadata(hf_hub_url(repository, file, repo_type=kind, revision=revision)).size
            if (size or 0) > MAX_BYTES:
                return bytes(MAX_BYTES + 1)  # as good as what it would hold: it is refused for its size
            cached = hf_hub_download(repository, file, repo_type=kind, revision=revision)
        with Path(cached).open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except Exception as error:  # the hub's client raises many classes for one thing: it is not to be had
        reason = (str(error) or type(error).__name__).strip().partition("\n")[0]
        msg = f"{address} cannot be read: {reason}\noffline (HF_HUB_OFFLINE) it has to be in the hub's cache already"
        raise RecipeError(msg) from error
