"""Consistency: outputs of one format."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal, Self

from tunesmith import Curator, Example, RecipeError, Record
from tunesmith_plugins.curators.shapes import has_section, headings, read_json, schema_validator
from tunesmith_plugins.curators.sides import answers

_Rule = Callable[[str], str]
# Of fewer outputs nobody can say what most of them share.
_FEWEST = 20
_SHOWN = 12


class Consistency(Curator):
    """Drops, or reports, examples whose output is not of the format that is asked for.

    Looked at is the last turn of the assistant, the preferred one of a pair, or the text with a weight; what has no
    output is kept. The first rule that an output breaks is the reason. With `auto`, rules are what most outputs of a
    task share, if there are 20: JSON objects with the same keys, else JSON, else headings; what was found is said.

    Since 0.9.

    Args:
        json: Outputs are JSON, all of it.
        schema: A file with a JSON Schema that they follow; needs the extra `schema`.
        sections: Headings that they have: `# Plan`, `**Plan**`, `Plan:`, `[Plan]`, underlined, or alone on a line, in
            any case.
        matches: A regular expression that is found in them; `^` and `$` are the ends of the output.
        labels: The only outputs allowed, and the only values of `label` where an example has one.
        auto: Ask of all outputs what at least `share` of them have in common.
        share: For `auto`, above a half.
        action: `drop`, or `report` how many break which rule, and keep them.
    """

    def __init__(
        self,
        json: bool = False,
        schema: Path | None = None,
        sections: list[str] | None = None,
        matches: str | None = None,
        labels: list[str] | None = None,
        auto: bool = False,
        share: float = 0.95,
        action: Literal["drop", "report"] = "drop",
    ) -> None:
        self.json = json
        self.schema = schema
        self.sections = sections
        self.matches = matches
        self.labels = labels
        self.auto = auto
        self.share = share
        self.action = action

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Each rule, dropping and reporting."""
        return [
            cls(json=True, action="report"),
            cls(sections=["Plan"], matches="lamp"),
            cls(labels=["warm", "cold"]),
            cls(auto=True, share=0.6),
        ]

    @property
    def by_row(self) -> bool:  # type: ignore[override]
        """Whether no rule is inferred, and nothing added up for a report."""
        return not self.auto and self.action == "drop"

    def check(self) -> None:
        """Refuse options that ask for nothing, or for what cannot be.

        Raises:
            RecipeError: No rule is set, `matches` is no regular expression, or `schema` no JSON Schema.
            AbsentPackageError: `schema` is set, and the extra `schema` is not installed.
        """
        if not 0.5 < self.share <= 1:
            msg = f"share is {self.share}; a share above 0.5 and up to 1 is needed"
            raise RecipeError(msg)
        if not self._rules() and self.labels is None and not self.auto:
            msg = "json, schema, sections, matches, labels and auto are not set; nothing is asked for: set one"
            raise RecipeError(msg)

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        """Pass on those that break no rule.

        Raises:
            RecipeError: As `check`.
        """
        rules = self._rules()
        found: dict[str, list[_Rule]] = {}
        if self.auto:
            examples = list(examples)
            found = self._found(examples, record)
        broken: Counter[str] = Counter()
        for example in examples:
            reason = self._broken(example, [*rules, *found.get(example.task, [])])
            broken[reason] += 1
            if reason and self.action == "drop":
                record.drop(example, reason)
            else:
                yield example
        if self.action == "report":
            for reason in sorted(filter(None, broken)):
                record.remark(f"{broken[reason]} of {broken.total()} outputs: {reason}")

    def _broken(self, example: Example, rules: list[_Rule]) -> str:
        said = answers(example)[:1]
        if self.labels is not None:
            label = example.label if isinstance(example.label, tuple) else (example.label,)
            values = [str(value) for value in label if value is not None] or [text.strip() for text in said]
            if any(value not in self.labels for value in values):
                return "not one of the labels"
        return next((reason for text in said for rule in rules if (reason := rule(text))), "")

    def _rules(self) -> list[_Rule]:
        rules: list[_Rule] = []
        if self.json or self.schema is not None:
            rules.append(lambda text: "" if read_json(text)[0] else "not JSON")
        if self.schema is not None:
            valid = schema_validator(self.schema, "schema")
            rules.append(lambda text: "" if valid(read_json(text)[1]) else "not as the schema says")
        rules += [partial(_without_section, name=name) for name in self.sections or []]
        if self.matches is not None:
            try:
                pattern = re.compile(self.matches)
            except re.error as error:
                msg = f"matches is {self.matches!r}, which is no regular expression: {error}"
                raise RecipeError(msg) from None
            rules.append(lambda text: "" if pattern.search(text) else "without the pattern")
        return rules

    def _found(self, examples: list[Example], record: Record) -> dict[str, list[_Rule]]:
        """By task, what its outputs share; says so."""
        by_task: dict[str, list[str]] = defaultdict(list)
        for example in examples:
            by_task[example.task] += answers(example)[:1]
        found = {}
        for task, texts in by_task.items():
            rule, what = _shared(texts, self.share)
            found[task] = [rule] if rule else []
            record.remark(f"{f'task {task}: ' if task else ''}{what}")
        return found


def _without_section(text: str, name: str) -> str:
    return "" if has_section(text, name) else f"no section {name}"


def _shared(texts: list[str], share: float) -> tuple[_Rule | None, str]:
    """The rule that so many of the texts keep, and what it is."""
    if len(texts) < _FEWEST:
        return None, f"{len(texts)} outputs are too few to find a format ({_FEWEST} are needed)"
    least = share * len(texts)
    values = [value for is_json, value in map(read_json, texts) if is_json]
    keys = Counter(frozenset(value) for value in values if isinstance(value, dict))
    ((same, number),) = keys.most_common(1) or [(frozenset(), 0)]
    said = f"at least {100 * share:g} % of {len(texts)} outputs"
    if number >= least:
        return lambda text: _other_keys(text, same), f"{said} are JSON objects with the keys {_listed(same)}"
    if len(values) >= least:
        return lambda text: "" if read_json(text)[0] else "unlike most: not JSON", f"{said} are JSON"
    counted = Counter(name for text in texts for name in headings(text))
    shared = {name for name, number in counted.items() if number >= least}
    if shared:
        return (
            lambda text: "" if shared <= headings(text) else "unlike most: without a section",
            f"{said} have the sections {_listed(shared)}",
        )
    return None, f"{said} share neither JSON nor headings"


def _other_keys(text: str, keys: frozenset[str]) -> str:
    is_json, value = read_json(text)
    if not is_json:
        return "unlike most: not JSON"
    return "" if isinstance(value, dict) and value.keys() == keys else "unlike most: other JSON keys"


def _listed(names: Iterable[str]) -> str:
    known = sorted(names)
    return ", ".join([*known[:_SHOWN], *(["..."] if len(known) > _SHOWN else [])]) or "(none)"
