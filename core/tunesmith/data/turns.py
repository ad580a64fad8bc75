"""Which characters of a rendered conversation each turn supervises, verified, or the reason why that cannot be said.

What the template marks with `{% generation %}`, cut to the turn; where it marks nothing, verified prefixes: the turns
up to an answer, with the answer opened, must be how the whole begins. So training feeds the model at every turn what a
server feeds it there (trap 19). What cannot be told apart is refused, never trained on whole (traps 13, 14).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from tunesmith.data.chat import ChatTemplate, Tools
from tunesmith.data.example import Message
from tunesmith.data.spans import Span, close_turn, common_prefix, overlaid
from tunesmith.errors import RowError

# Keys under which chat templates are given what was thought before an answer.
_THINKING = ("thinking", "reasoning_content")


class Turns:
    """The turns of one conversation, rendered once.

    Args:
        template: Renders them.
        messages: The turns.
        tools: Tools that the template may describe.
        ends: Tokens that end a turn.
        eos: Token that closes a last turn that the template leaves open; None if the base has none.

    Attributes:
        text: The whole conversation as it is tokenised.
        spans: What is trained on.
        prompts: What a server feeds the model before each supervised answer; each begins `text`.

    Raises:
        RowError: The template refuses the turns, or a supervised one cannot be told apart from the others.
    """

    def __init__(
        self, template: ChatTemplate, messages: Sequence[Message], tools: Tools, ends: Sequence[str], eos: str | None
    ) -> None:
        self._template, self._messages, self._tools, self._ends = template, messages, tools, ends
        self._whole, self._marks = template.render(messages, tools)
        self.text = self._whole
        self.spans: list[Span] = []
        self.prompts: list[str] = []
        for turn, message in enumerate(messages):
            weight = message.weight if message.weight is not None else float(message.role == "assistant")
            if weight == 0:
                continue
            before = len(self.spans)
            if message.role == "assistant":
                self.prompts.append(self._asked(turn))
                self._answered(turn, weight, eos)
                self._weigh(turn, len(self.prompts[-1]), before)
            else:
                self._heard(turn, weight)
                self._weigh(turn, self.spans[before].start, before)

    def _asked(self, turn: int) -> str:
        if turn == 0:
            _refuse(turn, "it is the assistant's, with nothing to answer; give it weight 0")
        prompt = self._template.render(self._messages[:turn], self._tools, opening=True).text
        if not self._whole.startswith(prompt):
            _refuse(
                turn,
                "the chat template rewrites what stands before it once the conversation goes on, so that training "
                "would differ from use; give all assistant turns but the last weight 0",
            )
        return prompt

    def _answered(self, turn: int, weight: float, eos: str | None) -> None:
        start = len(self.prompts[-1])
        limit, exact = self._end_of(turn)
        self._check_written(turn, limit)
        if self._marks is None and not exact:
            _refuse(turn, "the chat template renders it differently once other turns follow; give it weight 0")
        marks = [(start, limit)] if self._marks is None else self._marks
        pieces = [(max(start, first), last) for first, last in marks if first < limit and last > start]
        if not pieces:
            _refuse(turn, "the chat template marks nothing of it as generated")
        self.spans += [Span(first, last, weight) for first, last in pieces[:-1]]
        first, last = pieces[-1]
        closed = close_turn(self._whole, first, last, max(limit, last), self._ends)
        if closed is not None:
            self.spans.append(Span(first, closed, weight))
            return
        if turn + 1 < len(self._messages):
            _refuse(turn, "the chat template writes no end-of-turn token after it; give it weight 0")
        if eos is None:
            _refuse(turn, "neither the chat template nor the tokenizer has a token that ends it")
        bare = self._whole.rstrip()
        self.text = bare + eos
        self.spans += [Span(first, min(last, len(bare)), weight), Span(len(bare), len(self.text), weight)]

    def _check_written(self, turn: int, limit: int) -> None:
        """Refuse an answer of which the template leaves something out that would be learnt.

        Thinking is looked for in the last turn only: of earlier ones many templates leave it out, in use as well.
        """
        fields, said = self._messages[turn].fields, self._whole[len(self.prompts[-1]) : limit]
        left_out = [
            key for key in _THINKING if turn + 1 == len(self._messages) and not _holds(self._whole, fields.get(key))
        ]
        if not all(_holds(said, name) for name in _called(fields.get("tool_calls"))):
            left_out.append("tool_calls")
        if left_out:
            _refuse(
                turn,
                f"the chat template leaves out its {left_out[0]}, so that it would not be learnt; take a base or a "
                f"model.template that writes it, or leave {left_out[0]} out",
            )

    def _heard(self, turn: int, weight: float) -> None:
        """A turn that is not the assistant's and is trained on all the same: its words and its end token."""
        before = self._template.render(self._messages[:turn], self._tools).text if turn else ""
        limit, exact = self._end_of(turn)
        said = self._messages[turn].content.strip()
        place = self._whole[len(before) : limit].rfind(said)
        if not exact or not self._whole.startswith(before) or not said or place < 0:
            _refuse(turn, "its words cannot be found in what the chat template makes of it; give it weight 0")
        start = len(before) + place
        end = start + len(said)
        self.spans.append(Span(start, close_turn(self._whole, start, end, limit, self._ends) or end, weight))

    def _weigh(self, turn: int, start: int, first: int) -> None:
        """Lay the weights of the turn's stretches over those of all that it supervises, `self.spans[first:]`."""
        message = self._messages[turn]
        if not message.spans:
            return
        if sum(length for length, _ in message.spans) != len(message.content):
            _refuse(turn, "its spans are of another text; change texts by Example.map_texts or Message.with_content")
        limit = max(span.end for span in self.spans[first:])
        place = _only_place(self.text[start:limit], message.content)
        if place is None:
            _refuse(turn, "its words are not found, or more than once, in what the chat template makes of it")
        self.spans += overlaid(self.spans[first:], message.spans, start + place)

    def _end_of(self, turn: int) -> tuple[int, bool]:
        """Where a turn ends, and whether the conversation up to it is how the whole begins."""
        if turn + 1 == len(self._messages):
            return len(self._whole), True
        upto = self._template.render(self._messages[: turn + 1], self._tools).text
        shared = common_prefix(self._whole, upto)
        return shared, shared == len(upto)


def _refuse(turn: int, reason: str) -> NoReturn:
    field = "messages"
    raise RowError(field, f"turn {turn + 1}: {reason}")


def _only_place(text: str, said: str) -> int | None:
    """Where what was said stands in a text that begins with it, or holds it once; white space around it may be gone.

    Returns:
        The place of its first character, negative where the white space before it is gone; None if there is none.
    """
    bare = said.strip()
    lead = len(said) - len(said.lstrip())
    first = text.find(bare)
    if first < 0 or (text[:first].strip() and text.find(bare, first + 1) >= 0):
        return None
    return first - lead


def _called(calls: Any) -> list[Any]:
    """Names of the functions that are called."""
    maps = [call for call in calls if isinstance(call, Mapping)] if isinstance(calls, list | tuple) else []
    functions = [call.get("function") for call in maps]
    return [function.get("name") for function in functions if isinstance(function, Mapping)]


def _holds(text: str, part: Any) -> bool:
    """Whether a text holds another; true for what is no text."""
    return not isinstance(part, str) or part.strip() in text
