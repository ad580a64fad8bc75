"""Contradictions: one input, several labels or answers."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Literal, Self

from tunesmith import Curator, Example, Message, Record, Segment, normal_text


class Contradictions(Curator):
    """Drops examples that say different things of the same input: what a model can only learn by heart.

    Of examples with a label, the input is the whole text and the label is what is said of it. Of others, the input is
    what stands before the last answer (or the pieces of a template-free text that weigh nothing), and the answer is
    what is said; of preference pairs, which of the same two answers is preferred. Inputs and answers are the same where
    their turns are, system turns and tools included, in Unicode NFKC, lower case, white space collapsed. Examples
    without an input are not compared.

    An open question ("Write a poem.") has many right answers: there use `labels_only`, or leave this curator out.

    Since 0.9.

    Args:
        action: `drop`: all examples of an input of which different things are said. `keep_majority`: those stay that
            say what is said most often, if no other thing is said as often; else all go. `report`: all stay; how many
            there are is said.
        labels_only: Look at examples with a label alone.
    """

    def __init__(self, action: Literal["drop", "keep_majority", "report"] = "drop", labels_only: bool = False) -> None:
        self.action = action
        self.labels_only = labels_only

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Both actions, and both comparisons."""
        return [cls(), cls("keep_majority"), cls("report"), cls(labels_only=True)]

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        """Keep what contradicts nothing."""
        given = examples if isinstance(examples, Sequence) else list(examples)
        keys = [self._key(example) for example in given]
        said: defaultdict[bytes, Counter[bytes]] = defaultdict(Counter)
        for asked, answer in filter(None, keys):
            said[asked][answer] += 1
        contradicting = 0
        for example, key in zip(given, keys, strict=True):
            answers = said[key[0]] if key else Counter()
            if key is None or len(answers) == 1:
                yield example
                continue
            contradicting += 1
            (first, most), (_, next_most), *_ = answers.most_common()
            has_majority = self.action == "keep_majority" and most > next_most
            if self.action == "report" or (has_majority and key[1] == first):
                yield example
            elif has_majority:
                record.drop(example, "outvoted by other answers to the same input")
            else:
                record.drop(example, "another answer to the same input")
        if contradicting:
            inputs = sum(len(answers) > 1 for answers in said.values())
            record.remark(f"{contradicting:,} examples say different things of {inputs:,} inputs")

    def _key(self, example: Example) -> tuple[bytes, bytes] | None:
        """The input and what is said of it; None where there is nothing to compare."""
        turns, whole = example.messages or example.chosen, _text(example.segments)
        asked: list[object]
        said: object
        if example.label is not None:
            asked, said = [_turns(turns), _turns(example.rejected), normal_text(whole)], example.label
            is_empty = not any(part.strip() for part in example.texts())
        elif self.labels_only:
            return None
        elif example.segments:
            first = next((at for at, s in enumerate(example.segments) if s.weight != 0), len(example.segments))
            prompt, answer = _text(example.segments[:first]), _text(example.segments[first:])
            asked, said, is_empty = [normal_text(prompt)], normal_text(answer), not prompt.strip()
        elif turns and turns[-1].role == "assistant":
            answers = sorted(
                json.dumps(_turns(part[-1:]), default=str) for part in (example.chosen, example.rejected) if part
            )
            asked, said = [_turns(example.prompt), answers], _turns(turns[-1:])
            is_empty = not any(turn.role != "system" and turn.content.strip() for turn in example.prompt)
        else:
            return None
        return None if is_empty else (_digest([asked, list(example.tools)]), _digest(said))


def _text(segments: Sequence[Segment]) -> str:
    return "".join(segment.text for segment in segments)


def _turns(turns: Sequence[Message]) -> list[object]:
    return [[turn.role, normal_text(turn.content), dict(turn.fields)] for turn in turns]


def _digest(value: object) -> bytes:
    return sha256(json.dumps(value, sort_keys=True, default=str).encode()).digest()
