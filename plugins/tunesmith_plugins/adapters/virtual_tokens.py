"""A model's body with virtual tokens before each document: in ragged and padded batches, and while it generates.

peft puts them there in a forward of its own, for batches that are padded on the right: it drops positions, so that a
batch padded on the left answers otherwise than its rows alone. Here the body's forward does it, whoever calls it, and
gives states of the real tokens only. What is computed is peft's forward of each document alone.
"""

import inspect
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

_CACHES = ("cache", "past_key_values")  # as transformers calls it since 5.24, and before


class Prompted:
    """A body's forward, in the place of its own.

    Args:
        body: The model without its head.
        made: peft's model around it, which makes the virtual tokens.
        keys: Whether they are keys and values of every layer (prefix tuning), or else embeddings.

    Attributes:
        on: Whether there are any.
    """

    def __init__(self, body: Any, made: Any, keys: bool) -> None:
        self.body = body
        self.made = made
        self.keys = keys
        self.count = int(made.active_peft_config.num_virtual_tokens)
        self.on = True

    def __call__(
        self,
        input_ids: "Tensor | None" = None,
        attention_mask: "Tensor | None" = None,
        position_ids: "Tensor | None" = None,
        **options: Any,
    ) -> Any:
        """Run the body's own forward.

        Args:
            input_ids: `[n, L]`, or `[1, T]` with the documents' limits among the options; None where embeddings are.
            attention_mask: `[n, L]` where rows are padded.
            position_ids: `[n, L]`, from 0 in each document.
            **options: What else transformers takes.
        """
        if not self.on:
            return self._own(input_ids, attention_mask, position_ids, **options)
        if options.get("cu_seq_lens_q") is not None:
            return self._ragged(input_ids, position_ids, **options)
        cache = next((options[name] for name in _CACHES if options.get(name) is not None), None)
        if attention_mask is not None:
            ones = attention_mask.new_ones(len(attention_mask), self.count)
            attention_mask = torch.cat([ones, attention_mask], 1)
        begun = cache is not None and cache.get_seq_length() > 0
        if not begun and not self.keys:
            return self._embedded(input_ids, attention_mask, position_ids, **options)
        if position_ids is not None:
            position_ids = position_ids + self.count
        if not begun:
            rows = len(options["inputs_embeds"] if input_ids is None else input_ids)
            options |= self._filled(cache, rows)
        if options.get("cache_position") is not None:
            options["cache_position"] = options["cache_position"] + self.count
        return self._own(input_ids, attention_mask, position_ids, **options)

    def _own(self, input_ids: Any, attention_mask: Any, position_ids: Any, **options: Any) -> Any:
        return type(self.body).forward(
            self.body, input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, **options
        )

    def _embedded(self, input_ids: Any, mask: Any, position_ids: Any, **options: Any) -> Any:
        """Rows of one document each, with virtual tokens on their left."""
        embedded = self._embeddings(input_ids, options)
        prompt = self.made.get_prompt(batch_size=len(embedded)).to(embedded.dtype)
        options["inputs_embeds"] = torch.cat([prompt, embedded], 1)
        if position_ids is not None:
            first = torch.arange(self.count, device=position_ids.device).expand(*position_ids.shape[:-1], self.count)
            position_ids = torch.cat([first, position_ids + self.count], -1)
        if options.get("cache_position") is not None:
            options["cache_position"] = torch.arange(options["inputs_embeds"].shape[1], device=embedded.device)
        out = self._own(None, mask, position_ids, **options)
        width = embedded.shape[1]
        out.last_hidden_state = out.last_hidden_state[:, -width:]
        if getattr(out, "router_logits", None) is not None:
            each = (layer.view(len(embedded), -1, layer.shape[-1])[:, -width:] for layer in out.router_logits)
            out.router_logits = tuple(layer.reshape(-1, layer.shape[-1]) for layer in each)
        return out

    def _ragged(self, input_ids: Any, position_ids: Any, **options: Any) -> Any:
        """Documents one after the other, each with virtual tokens before it."""
        if self.keys:
            msg = "prefix tuning runs padded: keys and values of a prefix belong to a row"
            raise RuntimeError(msg)
        embedded = self._embeddings(input_ids, options)
        limits = options["cu_seq_lens_q"]
        documents = torch.arange(len(limits), dtype=limits.dtype)
        longer = limits + self.count * documents
        prompt = self.made.get_prompt(batch_size=1).to(embedded.dtype)
        lengths = limits.diff()
        pieces = [part for document in torch.split(embedded, lengths.tolist(), 1) for part in (prompt, document)]
        own = torch.arange(embedded.shape[1]) + self.count * torch.repeat_interleave(documents[1:], lengths)
        own = own.to(embedded.device)
        positions = torch.arange(self.count, device=embedded.device).repeat(len(lengths))
        everywhere = torch.zeros(1, int(longer[-1]), dtype=torch.long, device=embedded.device)
        virtual = torch.ones_like(everywhere, dtype=torch.bool)
        virtual[0, own] = False
        everywhere[virtual] = positions
        everywhere[0, own] = position_ids[0] + self.count
        longest = options["max_length_q"] + self.count
        options |= {"cu_seq_lens_q": longer, "cu_seq_lens_k": longer, "max_length_q": longest, "max_length_k": longest}
        out = self._own(None, None, everywhere, **{**options, "inputs_embeds": torch.cat(pieces, 1)})
        out.last_hidden_state = out.last_hidden_state[:, own]
        if getattr(out, "router_logits", None) is not None:
            out.router_logits = tuple(layer.reshape(-1, layer.shape[-1])[own] for layer in out.router_logits)
        return out

    def _embeddings(self, input_ids: Any, options: dict[str, Any]) -> "Tensor":
        given = options.pop("inputs_embeds", None)
        found: Tensor = self.body.get_input_embeddings()(input_ids) if given is None else given
        return found

    def _filled(self, cache: Any, rows: int) -> dict[str, Any]:
        """The cache that is given, or a new one, with the prefix in it; under the name that the body takes."""
        prefix = self.made.get_prompt(batch_size=rows)
        if cache is None:
            known = inspect.signature(type(self.body).forward).parameters
            return {next(name for name in _CACHES if name in known): prefix}
        for number, layer in enumerate(prefix.layers):
            cache.update(layer.keys, layer.values, number)
        return {}
