"""Writes a recipe for a data file: complete, commented, and ready to run."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from tunesmith import __version__
from tunesmith.data.columns import one_line
from tunesmith.data.recognise import Choice
from tunesmith.recipe.columns import FileColumns, has_reference
from tunesmith.recipe.relocate import beside, quoted

EMBEDDED = "package://tunesmith_plugins/bases/tiny-mistral"
_LONGEST_ANSWER = 512
_WIDEST = 80
_LONGEST_PATH = 1000

_RECIPE = """\
# {name}: {file}, read as {formatter_name} ({why}).
#   lightning-cli recipes check {here}     is it right, and do the first rows fit?
#   lightning-cli preview --config {here}     what would be trained, token by token
#   lightning-cli fit --config {here}         train
#   lightning-cli test --config {here}        compare with the base; are the thresholds below met?
requires: ["tunesmith>={version}"]     # add packages of plugins, with the versions that will do
seed_everything: 7
model:
{base}
  objective: NextToken
  adapter: {{class_path: LoRA, init_args: {{rank: 16, alpha: 32}}}}
  optimizer: {{class_path: torch.optim.AdamW, init_args: {{lr: {rate}, weight_decay: 0.01}}}}
  schedule: {{name: cosine, warmup: 0.05}}
data:
  sources:
    rows:
      path: {path}     # relative to this file
{formatter}
  curators:
    duplicates: ExactDuplicates
{split}
  batch_size: 8
{evidence}
trainer:
  max_epochs: 3
  gradient_clip_val: 1.0
"""
_EMBEDDED = f"""\
  # The embedded base is tiny: good to try a recipe out. A real one, with lr 2.0e-4: HuggingFaceTB/SmolLM2-135M-Instruct
  base: {EMBEDDED}"""
_KEEP_TOGETHER = """\
  # Rows of one person or document must not lie on both sides of a split. If a column names it, add to the split:
  # keep_together: COLUMN     (columns that are not trained on: {others})
"""
_ANSWERS = """\
generation: {{max_new_tokens: {tokens}}}     # {how}
evaluators:
  rouge: ROUGE
  exact: ExactMatch
# What success means. This is modest: raise it to what the task needs.
success:
  rouge/rougeL: {{at_least: 1.1, of: base, because: "a tenth better than the base"}}"""
_TEXT = """\
evaluators:
  perplexity: Perplexity
# What success means. This is modest: lower it to what the task needs.
success:
  perplexity/perplexity: {at_most: 0.9, of: base, because: "such text surprises it less than the base"}"""


def draft(columns: FileColumns, choice: Choice, target: Path, base: str | None) -> str:
    """The text of a complete recipe.

    Args:
        columns: What the data looks like.
        choice: How it is read.
        target: Where the recipe will lie; paths are written relative to it.
        base: The base model as given on the command line; None for the embedded one.
    """
    folder = Path(os.path.abspath(target)).parent  # noqa: PTH100  `resolve` would follow links, which a reader does not
    embedded = base in (None, EMBEDDED)
    return _RECIPE.format(
        name=one_line(target.stem),
        version=".".join(__version__.split(".")[:2]),  # which `requires` is compared with
        file=one_line(columns.file.name),
        formatter_name=choice.name,
        why=one_line(choice.why, _WIDEST),
        here=one_line(shlex.quote(os.path.relpath(target)), _LONGEST_PATH),
        base=_EMBEDDED if base is None or embedded else f"  base: {quoted(_moved(base, folder))}",
        rate="2.0e-3" if embedded else "2.0e-4",
        path=quoted(_near(columns.file, folder)),
        formatter=_formatter(choice),
        split=_split(columns, choice),
        evidence=_evidence(columns, choice),
    )


def plugins(columns: FileColumns, choice: Choice) -> Sequence[tuple[str, str]]:
    """Kind and name of all plugins that a draft names."""
    evaluators = ("ROUGE", "ExactMatch") if has_reference(columns, choice) else ("Perplexity",)
    return (
        ("formatter", choice.name),
        ("objective", "NextToken"),
        ("adapter", "LoRA"),
        ("curator", "ExactDuplicates"),
        *(("evaluator", name) for name in evaluators),
    )


def _near(file: Path, folder: Path) -> str:
    """The path of a file from a folder; whole where a link on the way to the folder would give `..` two meanings."""
    relative = beside(file, folder)
    return str(file.absolute()) if relative.startswith("..") and folder.resolve() != folder else relative


def _moved(base: str, folder: Path) -> str:
    if base not in (".", "..") and not base.startswith(("./", "../")):
        return base
    near = _near(Path(base), folder)
    return near if "/" in near else f"{near}/"  # a path is told from a hub id by its slash


def _formatter(choice: Choice) -> str:
    if not choice.found.options:
        return f"      formatter: {choice.name}"
    options = [f"          {name}: {quoted(value)}" for name, value in choice.found.options.items()]
    return "\n".join(["      formatter:", f"        class_path: {choice.name}", "        init_args:", *options])


def _split(columns: FileColumns, choice: Choice) -> str:
    others = ", ".join(
        one_line(name) for name in columns.names if name not in (*choice.found.columns, *choice.found.also)
    )
    hint = _KEEP_TOGETHER.format(others=one_line(others, _WIDEST)) if others else ""
    return f"{hint}  split: {{train: 0.8, validation: 0.1, test: 0.1}}"


def _evidence(columns: FileColumns, choice: Choice) -> str:
    if not has_reference(columns, choice):
        return _TEXT
    longest = columns.longest(choice.found.answer)
    if not longest:
        return _ANSWERS.format(tokens=128, how="at most so many tokens an answer")
    # Three characters a token is few for any tokenizer, so the longest answer fits.
    tokens = min(_LONGEST_ANSWER, -(-longest // 48) * 16)
    return _ANSWERS.format(tokens=tokens, how=f"the longest answer seen has {longest} characters")
