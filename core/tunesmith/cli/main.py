"""The command `lightning-cli`: finds the verb, and turns what goes wrong into a message and an exit code.

Imports neither torch nor Lightning: a verb that trains loads them itself (decision 12).
"""

import errno
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Sequence

from tunesmith.cli.deprecations import said_once
from tunesmith.errors import RecipeError, TunesmithError
from tunesmith.nearest import did_you_mean
from tunesmith.printable import message

TRAINER_VERBS = ("preview", "prepare", "fit", "search", "validate", "test", "predict", "audit")
VERBS = (*TRAINER_VERBS, "compare", "plugins", "recipes")
_SIGNALLED = 128  # a shell's exit code for a signal, without its number
_BROKEN_PIPE = 141
# What a file system says of a place, rather than of our way to use it.
_PLACES = {
    errno.EACCES,
    errno.EEXIST,
    errno.EPERM,
    errno.EROFS,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.ENOSPC,
    errno.EDQUOT,
}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_PLACE_ADVICE = "free that place, or choose another: --trainer.default_root_dir for runs, --output for answers"
# Threads that spin without end on a busy machine cost a factor of 50 (decision 11). Some microseconds of it before they
# sleep are 1.6 times faster than none on an idle one (small models, 2 cores). oneDNN keeps code for 1,024 shapes, about
# a megabyte each, and nearly every ragged batch has a length of its own: a step needs some dozens. Torch's own layer
# over it keeps 1,024 prepared products in bf16, each as large as a layer's weights, for lengths that do not come again:
# 0.35 GiB after 25 steps of a model of 9 million parameters, for nothing (as fast with 1 as with 1,024, one length or
# many). When one of several processes has ended, torch prints the frames in which the others notice (warnings). All
# are read by torch.
ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "30000",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128",
    "LRU_CACHE_CAPACITY": "16",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    "TOKENIZERS_PARALLELISM": "false",
}

HELP = """\
lightning-cli VERB [--config RECIPE ...] [options]

Tunesmith turns a general language model into a specialist, and proves that it
did. A recipe is one YAML file that says what success means, which data, which
base model, which method and which audits. Every verb reads that same file.

to begin
  recipes ls        recipes that come along, of packages, of this folder
  recipes new       write a recipe for a data file of yours
  recipes cp        copy a recipe that comes along, to change it
  recipes check     read recipes and their first rows, and say what is wrong
  recipes lock      write what a recipe is made of, for fit --locked
  recipes pack      make a package of a recipe, for others to install
  recipes schema    a JSON Schema of recipes, for completion in editors
  plugins list      what a recipe may name: formatters, adapters, ...
  plugins describe  a plugin's options, types, defaults and documentation
  plugins new       write a package with a plugin of yours, which works at once
  plugins check     whether a plugin keeps its contract, and what to mend

to train
  preview           what would be trained, token by token; counts, time, memory
  prepare           curate the data and write it with its data card
  fit               train; ends with an adapter that peft and vLLM load
  search            train with other options, or on parts of the data; report

to judge
  validate          measure on the validation split
  test              compare with the base on the test split; is it a success?
  compare           runs beside each other, on the same test rows
  predict           answer a file, or one --prompt, by base and tuned model
  audit             look for bias in the data, the model or logged outputs

examples
  lightning-cli fit --config recipes/medsync.yaml
  lightning-cli test --config recipes/medsync.yaml
  lightning-cli fit --config mine.yaml --model.adapter.init_args.rank=32
  lightning-cli recipes new mine.yaml --data rows.csv
  lightning-cli plugins describe LoRA

exit codes
  0  done, and success was met where it was asked for
  1  our fault: please report it
  2  recipe, data or command line are wrong; the message says what to do
  3  ran well, but a threshold in the recipe's `success` was missed
  130, 143  stopped by Ctrl-C (SIGINT), by SIGTERM; `fit` saved a checkpoint

lightning-cli VERB --help says more; --version prints the version.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The words after the command's name; None takes those of the process.

    Returns:
        The exit code: 0 done, 1 our fault, 2 the user's mistake, 3 success was not met, 130 or 143 stopped by
        SIGINT or SIGTERM.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        with said_once():
            code = _dispatch(words)
        # Here, not at exit, so that a reader who left (`| head`) is noticed where it can be handled.
        sys.stdout.flush()
    except TunesmithError as error:
        print(message(str(error)), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as stop:
        print(f"\ninterrupted; {_how_to_go_on(words)}", file=sys.stderr)
        return _SIGNALLED + next(iter(stop.args), signal.SIGINT)
    except BrokenPipeError:
        # Python flushes standard output once more at exit, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except SystemExit as stop:
        return _exit_code(stop)
    except OSError as error:
        # a file that was opened while there was room says no name
        if error.errno not in (_PLACES if error.filename is not None else _FULL):
            return _unexpected(error, words)
        where = error.filename or "a file could not be written"
        print(message(f"{where}: {error.strerror}\n{_PLACE_ADVICE}"), file=sys.stderr)
        return RecipeError.exit_code
    except Exception as error:
        return _unexpected(error, words)
    return code


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(HELP)
        return 0
    verb, rest = words[0], words[1:]
    if verb == "--version":
        from tunesmith import __version__

        print(f"tunesmith {__version__}")
        return 0
    if verb in TRAINER_VERBS:
        from tunesmith.cli.trainer_cli import run as run_trainer

        return run_trainer(verb, rest)
    if verb == "compare":
        from tunesmith.cli.compare import run as run_compare

        return run_compare(rest)
    if verb == "plugins":
        from tunesmith.cli.plugins_verb import run as run_plugins

        return run_plugins(rest)
    if verb == "recipes":
        from tunesmith.cli.recipes_verb import run as run_recipes

        return run_recipes(rest)
    if verb.startswith("-"):
        later = next((word for word in rest if word in VERBS), "fit")
        msg = f"the verb comes first: lightning-cli {later} {verb} ...\nverbs: {', '.join(VERBS)}"
    else:
        msg = f"{verb}: no such verb{did_you_mean(verb, VERBS)}\nverbs: {', '.join(VERBS)}  (lightning-cli --help)"
    raise RecipeError(msg)


def _how_to_go_on(words: Sequence[str]) -> str:
    if words[:1] == ["fit"] and not any(word.split("=")[0] == "--ckpt_path" for word in words):
        return f"to go on from the last checkpoint:\n  lightning-cli {shlex.join(words)} --ckpt_path=last"
    return f"to start again:\n  lightning-cli {shlex.join(words)}"


def _unexpected(error: Exception, words: Sequence[str]) -> int:
    traceback.print_exception(error)
    print(
        f"\nthis is our fault, not yours: {type(error).__name__} in `lightning-cli {shlex.join(words)}`\n"
        "please report it with the lines above and the recipe; the versions are in the run's lock.json",
        file=sys.stderr,
    )
    return 1


def _exit_code(stop: SystemExit) -> int:
    """What a library's `sys.exit` asks for: a number, nothing, or a message to print."""
    if stop.code is None or isinstance(stop.code, int):
        return stop.code or 0
    print(stop.code, file=sys.stderr)
    return 1
