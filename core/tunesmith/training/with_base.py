"""What a tuned model is compared with: its base from the same weights, a frozen copy, or the root of its stages."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from tunesmith.plugins.interfaces import Adapter, Regularizer
from tunesmith.recipe.package_fs import resolve
from tunesmith.training.attach import Attached, Untouched, share_frozen
from tunesmith.training.validating import Validating

_FILE = "tunesmith.json"


@dataclass(frozen=True, slots=True)
class Pretrained:
    """The pre-trained model that a base was made of by earlier stages.

    Args:
        base: As `model.base` said it.
        revision: The commit of a hub id.
    """

    base: str
    revision: str | None = None

    def write(self, directory: Path, **about: Any) -> None:
        """Note it beside the weights that were made of it."""
        content = {"pretrained": self.base, "revision": self.revision, **about}
        (directory / _FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def pretrained_of(base: str) -> Pretrained | None:
    """The root of a base that an earlier stage made; None where it is the root itself."""
    found = resolve(base)
    path = found / _FILE if isinstance(found, Path) else None
    if path is None or not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    return Pretrained(str(content["pretrained"]), content.get("revision"))


class WithBase(Validating):
    """A LightningModule that can be asked as its base, and as what its base was made of.

    Attributes:
        base: What the recipe names.
        revision: Its commit, of a hub id.
        adapter: What trains.
    """

    base: str
    revision: str | None
    adapter: Adapter

    def __init__(self) -> None:
        super().__init__()
        self._copies: dict[Pretrained, Attached] = {}

    def _attach(
        self, adapter: Adapter, regularizers: Mapping[str, Regularizer], base: Pretrained | None = None
    ) -> Attached:
        raise NotImplementedError

    @property
    def pretrained(self) -> Pretrained:
        """The pre-trained model."""
        return pretrained_of(self.base) or Pretrained(self.base, self.revision)

    def load_baseline(self) -> nn.Module:
        """An untouched copy of the base, loaded when first asked for; for adapters that cannot be switched off."""
        return self._copy(Pretrained(self.base, self.revision), Untouched())

    def compared_network(self) -> nn.Module | None:
        """The network that is the base in comparisons: the pre-trained model, also of a later stage.

        None where this one is, with its adapter switched off.
        """
        if (origin := pretrained_of(self.base)) is not None:
            return self._copy(origin, Untouched(self.adapter))
        return None if self.adapter.switchable else self.load_baseline()

    def copies(self) -> list[nn.Module]:
        """The copies that were loaded so far."""
        return [copy.network for copy in self._copies.values()]

    def _copy(self, base: Pretrained, adapter: Adapter) -> nn.Module:
        if base not in self._copies:
            self._copies[base] = self._attach(adapter, {}, base)
            network = self._copies[base].network.eval().to(self.device)
            if base == Pretrained(self.base, self.revision):
                share_frozen(network, self.network)
        return self._copies[base].network.to(self.device)
