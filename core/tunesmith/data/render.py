"""Conversations and texts to token ids with loss weights, by the base's tokenizer and chat template."""

from collections.abc import Sequence
from typing import Any

from tunesmith.data.chat import ChatTemplate, Tools
from tunesmith.data.encoded import Encoded
from tunesmith.data.example import Message
from tunesmith.data.identity import key_of
from tunesmith.data.spans import Span, token_weights
from tunesmith.data.turns import Turns
from tunesmith.errors import DataError, RowError


class ChatRenderer:
    """Implements `tunesmith.Renderer` with a fast tokenizer of transformers.

    Args:
        tokenizer: A fast tokenizer; its `chat_template` becomes the one that is trained on.
        template: What `model.template` says: a name, a path, or None for the base's own.

    Attributes:
        tokenizer: The tokenizer.
        template_source: Where the template came from, in words.
        bos_id: Id that opens sequences, None where the base has none.
        closing_id: Id with which the tokenizer itself closes a text ([SEP] of encoders), None where it closes none.

    Raises:
        RecipeError: `template` names nothing.
        DataError: The tokenizer cannot say which characters a token covers.
    """

    def __init__(self, tokenizer: Any, template: str | None = None) -> None:
        if not tokenizer.is_fast:
            msg = f"the base's tokenizer {type(tokenizer).__name__} is a slow one, which cannot say where tokens begin"
            raise DataError(msg)
        self.tokenizer = tokenizer
        self._template = ChatTemplate(tokenizer, template)
        self.template_source = self._template.source
        opens = self._template.opens or self._template.writes_bos
        self._opening, closing = _around(tokenizer)
        self.closing_id: int | None = closing[-1] if closing else None
        own = self._opening[0] if self._opening else None
        self.bos_id: int | None = tokenizer.bos_token_id if opens else own
        special = {t.content for t in tokenizer.added_tokens_decoder.values() if t.special and t.content.strip()}
        self._ends = sorted(special | ({tokenizer.eos_token} if tokenizer.eos_token else set()))

    def identity(self) -> str:
        """What identifies the ids that texts become."""
        tokenizer = self.tokenizer
        named = [type(tokenizer).__qualname__, repr(tokenizer), str(tokenizer.chat_template), self.bos_id]
        return key_of(named, tokenizer.backend_tokenizer.to_str())

    def conversation(self, messages: Sequence[Message], tools: Tools = ()) -> Encoded:
        """Render a whole conversation once and tokenise it once, with the weights of its turns.

        Every supervised assistant turn ends in an end-of-turn token: the template's, or EOS where it writes none after
        the last turn. Weights come from characters, never from ids, so that a pad id within (trap 10) and a pad id
        that is EOS (trap 11) mean nothing.

        Raises:
            RowError: The template refuses the turns, or a supervised one cannot be told apart from the others.
            RecipeError: There is no template.
        """
        turns = Turns(self._template, messages, tools, self._ends, self.tokenizer.eos_token)
        ids, offsets = self._tokens(turns.text)
        for prompt in turns.prompts:
            asked, _ = self._tokens(prompt)
            if asked != ids[: len(asked)]:
                field, reason = "messages", "an answer merges with the token before it; it begins with white space"
                raise RowError(field, reason)
        return _encoded(ids, token_weights(turns.text, turns.spans, offsets))

    def prompt(self, messages: Sequence[Message], tools: Tools = ()) -> Encoded:
        """Render turns and open the assistant's; an exact prefix of the ids of the conversation that goes on.

        Raises:
            RowError: The template refuses the turns.
            RecipeError: There is no template.
        """
        ids, _ = self._tokens(self._template.render(messages, tools, opening=True).text)
        return _encoded(ids, [0.0] * len(ids))

    def text(self, pieces: Sequence[tuple[str, float]], end: bool | None = True) -> Encoded:
        """Tokenise template-free pieces as one text; BOS where the tokenizer writes one, EOS with the last weight.

        Encoders have [CLS] and [SEP] in their places. Neither is written twice where the text has it already.

        A token that straddles pieces takes the weight of its last character that is not white space.

        Args:
            pieces: Texts with their weights.
            end: Whether it is closed; None closes it where the tokenizer itself does.

        Raises:
            RowError: `end`, and the tokenizer has no end-of-sequence token.
        """
        text, spans = "", []
        for piece, weight in pieces:
            spans.append(Span(len(text), len(text) + len(piece), weight))
            text += piece
        ids, offsets = self._tokens(text)
        weights = token_weights(text, spans, offsets)
        if self._opening and ids[: len(self._opening)] != self._opening:
            ids, weights = [*self._opening, *ids], [0.0] * len(self._opening) + weights
        eos = self.tokenizer.eos_token_id if self.closing_id is None else self.closing_id
        close = self.closing_id is not None if end is None else end
        if close and eos is None:
            field, reason = "segments", "the base's tokenizer has no end-of-sequence token to close a text with"
            raise RowError(field, reason)
        if close and ids[-1:] != [eos]:
            ids, weights = [*ids, eos], [*weights, spans[-1].weight if spans else 0.0]
        return _encoded(ids, weights)

    def _tokens(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return list(encoded["input_ids"]), list(encoded["offset_mapping"])


def _around(tokenizer: Any) -> tuple[list[int], list[int]]:
    """What the tokenizer itself writes before and behind a text."""
    bare, whole = (list(tokenizer("a", add_special_tokens=marked)["input_ids"]) for marked in (False, True))
    starts = range(len(whole) - len(bare) + 1)
    at = next((start for start in starts if whole[start : start + len(bare)] == bare), 0)
    return whole[:at], whole[at + len(bare) :]


def _encoded(ids: Sequence[int], weights: Sequence[float]) -> Encoded:
    """An encoding whose first token, which nothing predicts, weighs nothing (trap 9)."""
    return Encoded(tuple(ids), (0.0, *weights[1:]) if ids else ())
