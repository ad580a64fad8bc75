"""Whether an optimizer takes the recipe's options: its constructor is asked, over one number instead of a model's."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from tunesmith.errors import RecipeError
from tunesmith.recipe.compose import Recipe
from tunesmith.recipe.kinds import shown

_KEY = "model.optimizer"
_OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}


def check_optimizer(make: Callable[[Iterable[Any]], Optimizer], checked: Mapping[str, Any], recipe: Recipe) -> None:
    """Make the optimizer once, before rows or weights are there.

    Its bounds stand in its constructor alone, as conditions before a `raise`: that condition says which option is
    refused, and what is allowed.

    Args:
        make: Makes it from groups of parameters.
        checked: The recipe as `recipe.schema.check` left it.
        recipe: The recipe, for the file that says the option.

    Raises:
        RecipeError: The constructor refuses an option, or several that do not go together.
    """
    # a matrix: Muon takes nothing else
    try:
        make([{"params": [nn.Parameter(torch.zeros(1, 1))]}])
    except (TypeError, ValueError, RuntimeError) as error:
        named = (checked.get("model") or {}).get("optimizer") or {}
        given = named.get("init_args") or {}
        name = named.get("class_path", "").rpartition(".")[2]
        condition = _condition(error)
        about = sorted(_names(condition) & given.keys()) if condition is not None else []
        key = f"{_KEY}.init_args.{about[0]}" if len(about) == 1 else _KEY
        is_value = f"is {_said(given[about[0]])}" if len(about) == 1 else "cannot be used so"
        allowed = _allowed(condition) if condition is not None and len(about) == 1 else ""
        why = f"; {name} takes {allowed}" if allowed else f": {' '.join(str(error).split())}"
        msg = f"{recipe.origin(key)}: {key} {is_value}{why}"
        raise RecipeError(msg) from error


def _condition(error: Exception) -> ast.expr | None:
    """The condition under which an error was raised; None where there is no source, or it was raised without one."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return _guard(trace.tb_frame, trace.tb_lineno) if trace is not None else None


def _guard(frame: FrameType, line: int) -> ast.expr | None:
    try:
        lines, begin = inspect.getsourcelines(frame.f_code)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, SyntaxError):
        return None
    at = line - begin + 1
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and any(_raises(statement, at) for statement in node.body):
            return node.test
    return None


def _raises(statement: ast.stmt, line: int) -> bool:
    return isinstance(statement, ast.Raise) and statement.lineno <= line <= (statement.end_lineno or 0)


def _names(condition: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(condition) if isinstance(node, ast.Name)}


def _allowed(refused: ast.expr) -> str:
    """What is allowed where a comparison refuses; empty for other conditions, which may be on what goes together."""
    if (
        isinstance(refused, ast.UnaryOp)
        and isinstance(refused.op, ast.Not)
        and isinstance(refused.operand, ast.Compare)
    ):
        return ast.unparse(refused.operand)
    if isinstance(refused, ast.Compare) and len(refused.ops) == 1 and type(refused.ops[0]) in _OPPOSITE:
        return ast.unparse(ast.Compare(refused.left, [_OPPOSITE[type(refused.ops[0])]()], refused.comparators))
    return ""


def _said(value: Any) -> str:
    return f"[{', '.join(map(shown, value))}]" if isinstance(value, list) else shown(value)
