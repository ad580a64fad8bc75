"""What a verb's command line says: recipes, options of the verb, and overrides of the recipe."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

from tunesmith.errors import RecipeError
from tunesmith.nearest import nearest

# Every option: whether it takes a value, the verbs that know it, and its help.
_ALL = ("fit", "validate", "test", "predict", "audit", "preview", "prepare", "search")
_RUN = ("validate", "test", "predict", "audit")
OPTIONS: dict[str, tuple[bool, tuple[str, ...], str]] = {
    "config": (True, _ALL, "recipe or overlay; may be given several times, later ones change earlier ones"),
    "plugin": (True, _ALL, "a Python file whose plugins the recipe may use; may be given several times"),
    "trust": (True, _ALL, "an import prefix whose classes the recipe may name; may be given several times"),
    "print_config": (False, _ALL, "print the resolved recipe and stop"),
    "run": (
        True,
        (*_RUN, "fit", "search"),
        "the run directory to read (fit, search: to resume); else the newest",
    ),
    "ckpt_path": (
        True,
        ("fit", "search", *_RUN),
        "fit, search: `last` to resume, fit: or a checkpoint; else: a checkpoint to measure",
    ),
    "stage": (True, _ALL, "one of the recipe's stages (fit: it alone; else: the last unless this names another)"),
    "locked": (False, ("fit",), "refuse where anything differs from the lock beside the recipe (recipes lock)"),
    "relock": (False, ("fit",), "resume although data, base or code differ from the lock of the run"),
    "keep-rejected": (False, ("fit", "prepare", "predict"), "write the rows themselves into rejected.jsonl as well"),
    "prompt": (True, ("predict",), "one prompt; the answers of base and tuned are shown side by side"),
    "input": (True, ("predict",), "a file of rows to answer, as the recipe's first source is read"),
    "output": (True, ("predict",), "where the answers go (default: predictions.jsonl in the run directory)"),
    "tasks": (True, ("prepare", "predict"), "write tasks for annotators as well, for label-studio or prodigy"),
    "examples": (True, ("preview",), "how many examples to show (default 2)"),
    "find-lr": (False, ("preview",), "raise the learning rate over 100 steps and say where the loss falls fastest"),
    "gpu": (True, ("preview",), "a GPU to compute memory for: its GiB (24), or a name (l4, rtx-4090, a100-80, ...)"),
    "over": (True, ("search",), "`data`: train on parts of the rows and say what more rows would bring"),
    "shares": (True, ("search",), "of --over data: the parts (default 0.1,0.2,0.4,0.8)"),
    "repeats": (True, ("search",), "of --over data: trainings a part, each on rows of its own (default 2)"),
    "outputs": (True, ("audit",), "a file of logged answers that the audits examine, in place of data and model"),
    "baseline": (True, ("audit",), "what to compare with: a run, of --outputs also a file; else `raw`, uncurated rows"),
    "since": (True, ("audit",), "of --outputs: rows of this time or later (2026-11-29, 7d, 12h); else all"),
    "json": (False, ("audit",), "print one line of JSON and nothing else"),
}
_REPEATED = ("config", "plugin", "trust")
_WIDTH, _INDENT = 80, 25
_SHORT = {"-c": "--config"}


@dataclass(slots=True)
class Arguments:
    """A parsed command line.

    Args:
        verb: What to do.
        options: The verb's own options by name; flags hold "true".
        repeated: The options that may be given several times.
        overrides: `(key path, text)` pairs that change the recipe, in order, as `--key=value` strings.
    """

    verb: str
    options: dict[str, str] = field(default_factory=dict)
    repeated: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in _REPEATED})
    overrides: list[str] = field(default_factory=list)
    help: bool = False

    def flag(self, name: str) -> bool:
        """Whether a flag was given."""
        return name in self.options


def parse(verb: str, arguments: Sequence[str], sections: Sequence[str]) -> Arguments:
    """Read a verb's command line; `sections` are the recipe's top-level keys, which overrides begin with.

    Raises:
        RecipeError: An option is unknown, belongs to another verb, or lacks its value.
    """
    parsed = Arguments(verb)
    rest = [_SHORT.get(a, a) for a in arguments]
    while rest:
        word = rest.pop(0)
        if word in ("-h", "--help"):
            parsed.help = True
            continue
        if not word.startswith("--"):
            msg = f"{word!r} is not an option; did you mean --config {word}?"
            raise RecipeError(msg)
        name, has_value, value = word[2:].partition("=")
        if name.split(".")[0] in sections:
            parsed.overrides.append(f"--{name}={value if has_value else _value(name, rest)}")
            continue
        option = name if name in OPTIONS else name.replace("_", "-")
        if option not in OPTIONS or verb not in OPTIONS[option][1]:
            raise RecipeError(_unknown(verb, name, sections))
        takes_value = OPTIONS[option][0]
        if not takes_value:
            if has_value:
                msg = f"--{name} takes no value; leave it out, or write --{name} alone"
                raise RecipeError(msg)
            parsed.options[option] = "true"
            continue
        text = value if has_value else _value(name, rest)
        if option in _REPEATED:
            parsed.repeated[option].append(text)
        else:
            parsed.options[option] = text
    return parsed


def _value(name: str, rest: list[str]) -> str:
    if not rest or (rest[0].startswith("--") and len(rest[0]) > 2):
        msg = f"--{name} needs a value"
        raise RecipeError(msg)
    return rest.pop(0)


def _unknown(verb: str, name: str, sections: Sequence[str]) -> str:
    if name in OPTIONS:
        return f"--{name} is not an option of {verb}; it belongs to {', '.join(OPTIONS[name][1])}"
    known = [o for o, (_, verbs, _) in OPTIONS.items() if verb in verbs]
    near = nearest(name.split(".")[0], [*known, *sections])
    hint = f"; did you mean --{'.'.join([near[0], *name.split('.')[1:]])}?" if near else ""
    options = ", ".join(f"--{o}" for o in known)
    takes = f"{verb} takes: {options}; and any key of the recipe (--data.batch_size=4)"
    return f"--{name} is not an option of {verb}{hint}\n{takes}"


def help_page(verb: str, summary: str, sections: Sequence[str]) -> str:
    """The help text of a verb, 80 columns wide."""
    lines = [
        f"lightning-cli {verb} --config RECIPE [options] [--KEY=VALUE ...]",
        "",
        *textwrap.wrap(summary, _WIDTH),
        "",
    ]
    for name, (takes_value, verbs, text) in OPTIONS.items():
        if verb in verbs:
            option = f"  --{name}{' VALUE' if takes_value else ''}"
            lines += textwrap.wrap(text, _WIDTH, initial_indent=f"{option:<{_INDENT}}", subsequent_indent=" " * _INDENT)
    rest = f"Any key of the recipe may be changed: --data.batch_size=4 (top-level keys: {', '.join(sections)})."
    return "\n".join(
        [*lines, "", *textwrap.wrap(rest, _WIDTH), "Options of plugins: lightning-cli plugins describe NAME"]
    )
