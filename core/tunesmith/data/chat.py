"""A tokenizer's chat template applied to turns: the text, and the characters that it marks as generated."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jinja2 import TemplateError, TemplateSyntaxError
from transformers.utils import chat_template_utils

from tunesmith.data.example import Message
from tunesmith.data.templates import CHOICES, find_template
from tunesmith.errors import RecipeError, RowError

Tools = Sequence[Mapping[str, Any]]
_MARK = re.compile(r"\{%-?\s*generation\s*-?%\}")
_PROBES = ([Message("user", "a")], [Message("system", "a"), Message("user", "a")])


class Rendered(NamedTuple):
    """A conversation as text, and the characters that the template marks as generated; None if it marks nothing."""

    text: str
    marks: list[tuple[int, int]] | None


class ChatTemplate:
    """The template that is trained on, put into the tokenizer, so that saving the tokenizer saves it (trap 20).

    Where the tokenizer opens text with BOS and the template does not write it, the template is given it: exactly one
    BOS in training, evaluation and serving (trap 17).

    Args:
        tokenizer: A tokenizer of transformers; its `chat_template` is set.
        declared: What `model.template` says, or None for the base's own template.

    Attributes:
        source: Where the template came from, in words.
        opens: Whether the tokenizer opens text with BOS.

    Raises:
        RecipeError: `declared` names nothing.
    """

    def __init__(self, tokenizer: Any, declared: str | None = None) -> None:
        self.tokenizer = tokenizer
        first = tokenizer("a").input_ids[:1]
        self.opens = tokenizer.bos_token_id is not None and first == [tokenizer.bos_token_id]
        self.source = "the base's tokenizer" if tokenizer.chat_template else "none"
        if declared is not None:
            tokenizer.chat_template, self.source = find_template(
                declared, set(tokenizer.get_vocab()), tokenizer.eos_token
            )
        own = tokenizer.chat_template
        if isinstance(own, Mapping):
            tokenizer.chat_template = {name: self._opened(source) for name, source in own.items()}
        elif own:
            tokenizer.chat_template = self._opened(own)

    @property
    def writes_bos(self) -> bool:
        """Whether the template writes the token that opens a text."""
        return "bos_token" in str(self.tokenizer.chat_template)

    def render(self, messages: Sequence[Message], tools: Tools = (), *, opening: bool = False) -> Rendered:
        """Turns as text; `opening` begins the assistant's next.

        Raises:
            RowError: The template refuses the turns.
            RecipeError: There is no template, or it is broken.
        """
        if not self.tokenizer.chat_template:
            msg = f"model.template is not set and this base has no chat template of its own; it takes {CHOICES}"
            raise RecipeError(msg)
        return self._apply(self.tokenizer.get_chat_template(None, tools or None), messages, tools, opening)

    def _apply(self, source: str, messages: Sequence[Message], tools: Tools, opening: bool) -> Rendered:
        marked = _MARK.search(source) is not None
        turns = [{"role": m.role, "content": m.content, **m.fields} for m in messages]
        # What `apply_chat_template` calls; it keeps to itself which characters are generated
        render: Any = chat_template_utils.render_jinja_template
        try:
            (text,), marks = render(
                conversations=[turns],
                tools=[dict(tool) for tool in tools] or None,
                chat_template=source,
                return_assistant_tokens_mask=marked,
                add_generation_prompt=opening,
                **self.tokenizer.special_tokens_map,
            )
        except TemplateSyntaxError as error:
            msg = f"model.template: the chat template ({self.source}) is broken in line {error.lineno}: {error}"
            raise RecipeError(msg) from error
        except (TemplateError, TypeError, ValueError) as error:
            field, reason = "messages", f"the chat template refuses the conversation: {error}"
            raise RowError(field, reason) from error
        return Rendered(text, sorted(marks[0]) if marked else None)

    def _opened(self, source: str) -> str:
        """The template with BOS in front, where the tokenizer opens text with BOS and the template leaves it out."""
        if not self.opens:
            return source
        for probe in _PROBES:
            try:
                text = self._apply(source, probe, (), opening=True).text
            except RowError:
                continue
            return source if text.startswith(self.tokenizer.bos_token) else "{{ bos_token }}" + source
        return source
