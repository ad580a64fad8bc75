"""What a recipe of a stranger might try, through the real command: one message, nothing imported, nothing written.

All attempts run in one process of their own, which notes every import of a canary, every command, every connection and
every file opened to write.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

CANARY = "canary_of_attempts"
# Another one that is let in: jsonargparse remembers for the whole process what it was allowed.
LET_IN = f"{CANARY}_let_in"
PACK = "pack_of_attempts"
OTHER = "files_of_others"
SUNG = "sung"
_RECORD = """
import contextlib, io, json, os, sys
from pathlib import Path

cases, folder, canary = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]), sys.argv[3]
watching, noted = False, []
ACTS = ("os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen", "os.remove", "os.rename", "os.mkdir",
        "os.symlink", "shutil.rmtree", "socket.connect", "socket.getaddrinfo", "socket.bind")

def note(event, args):
    if not watching:
        return
    if event in ACTS:
        noted.append(f"{event} {args[0]}")
    elif event == "exec" and canary in getattr(args[0], "co_filename", ""):
        noted.append(f"import {canary}")
    elif event == "open":
        path, mode, flags = args
        if str(path) != os.devnull and (set(mode or "") & set("wax+") or (flags or 0) & (os.O_WRONLY | os.O_RDWR)):
            noted.append(f"open {path} {mode} {flags}")

def listing():
    return {str(p.relative_to(folder)): (p.lstat().st_size, p.lstat().st_mtime_ns) for p in sorted(folder.rglob("*"))}

sys.addaudithook(note)
from tunesmith.cli.main import main
for case in cases:
    os.chdir(folder / case["name"])
    sys.modules.pop(canary, None)
    before, out, err = listing(), io.StringIO(), io.StringIO()
    watching = case["watched"]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(case["words"])
    watching = False
    after = listing()
    case |= {"code": code, "out": out.getvalue(), "err": err.getvalue(), "noted": list(dict.fromkeys(noted)),
             "changed": [p for p in before.keys() | after.keys() if before.get(p) != after.get(p)],
             "imported": canary in sys.modules}
    noted.clear()
print(json.dumps(cases))
"""


@dataclass
class Attempt:
    """What a stranger gives, the command that is run on it, and what the command is to say."""

    name: str
    words: list[str]
    says: str
    code: int = 2
    files: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    watched: bool = True


def recipe(change: Any = None) -> str:
    """A recipe that runs, changed at a dotted key."""
    data: dict[str, Any] = {
        "model": {
            "base": "package://tunesmith_plugins/bases/tiny-mistral",
            "objective": "NextToken",
            "adapter": "LoRA",
        },
        "data": {"sources": {"notes": {"path": "rows.jsonl", "formatter": "PromptCompletion"}}},
        "evaluators": {"exact": "ExactMatch"},
        "trainer": {"max_steps": 1, "accelerator": "cpu"},
    }
    for key, value in (change or {}).items():
        *parents, last = key.split(".")
        here = data
        for parent in parents:
            here = here.setdefault(parent, {})
        here[last] = value
    return yaml.safe_dump(data)


def own(name: str, change: Any, says: str, verb: str = "fit", **more: Any) -> Attempt:
    """An attempt by a recipe in the user's folder."""
    text = change if isinstance(change, str) else recipe(change)
    words = [*verb.split(), "r.yaml"] if verb.startswith("recipes") else [verb, "--config", "r.yaml"]
    return Attempt(name, words, says, **{"files": {"r.yaml": text}, **more})


def packed(name: str, change: Any, says: str, **more: Any) -> Attempt:
    """An attempt by a recipe in an installed package."""
    files = {f"{PACK}/{name}.yaml": recipe(change)}
    words = ["fit", "--config", f"package://{PACK}/{name}.yaml"]
    return Attempt(name, words, says, **{"files": files, **more})


NAMES = ("os.system", "subprocess.Popen", "builtins.exec", f"{CANARY}.Bird", f"{CANARY}.sing")
PLACES = {
    "model.optimizer": "a recipe may not name",
    "model.adapter": "there is no adapter",
    "model.objective": "there is no objective",
    "evaluators.exact": "there is no evaluator",
    "data.sources.notes.formatter": "there is no formatter",
    "trainer.callbacks": "a recipe may not name",
    "trainer.logger": "a recipe may not name",
    "trainer.strategy": "a recipe may not name",
    "trainer.profiler": "a recipe may not name",
    "trainer.plugins": "a recipe may not name",
    "trainer.accelerator": "a recipe may not name",
}
_NO_MAPS = {("map", "trainer.plugins"), ("map", "trainer.accelerator")}
CLASS_PATHS = [
    own(f"{place} {name} as {form}", {place: name if form == "text" else {"class_path": name}}, f"{place} is {says}")
    for place, refused in PLACES.items()
    for name in NAMES
    for form in ("text", "map")
    for says in ["a map; it takes" if (form, place) in _NO_MAPS else f"{name}: {refused}"]
]
# Classes that are allowed, with options through which code might come in.
SMUGGLED = [
    own(
        f"{option} of {cls} {form}",
        {place: {"class_path": cls, "init_args": {option: value}}},
        place,
    )
    for place, cls, option in (
        ("trainer.strategy", "DDPStrategy", "ddp_comm_hook"),
        ("trainer.strategy", "DDPStrategy", "ddp_comm_wrapper"),
        ("trainer.strategy", "DDPStrategy", "cluster_environment"),
        ("trainer.strategy", "FSDPStrategy", "activation_checkpointing"),
        ("trainer.strategy", "FSDPStrategy", "auto_wrap_policy"),
        ("trainer.strategy", "FSDPStrategy", "cpu_offload"),
        ("trainer.strategy", "FSDPStrategy", "device_mesh"),
        ("trainer.profiler", "PyTorchProfiler", "on_trace_ready"),
        ("trainer.profiler", "PyTorchProfiler", "schedule"),
    )
    for form, value in (("text", f"{CANARY}.sing"), ("map", {"class_path": f"{CANARY}.Bird"}))
]
BOMB = "\n".join(
    [
        recipe(),
        "a0: &a0 [x, x, x, x, x, x, x, x, x]",
        *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)),
    ]
)
TAG = "!!python/object/apply:os.system [touch sung]"
DEEP = recipe().replace("NextToken", "[" * 60_000)
YAML = [
    attempt
    for verb in ("fit", "recipes check", "recipes cp")
    for attempt in (
        own(f"{verb} a tag", recipe().replace("NextToken", TAG), "the tag tag:yaml.org,2002:python/", verb),
        own(f"{verb} an alias bomb", BOMB, "aliases make it too large", verb),
        own(f"{verb} an alias to itself", "model: &a {base: *a}\ndata: {sources: {}}\n", "aliases make", verb),
        own(f"{verb} deep nesting", DEEP, "nest", verb),
        own(f"{verb} an oversized file", recipe() + "# x\n" * 300_000, "a recipe is at most 1 MiB", verb),
    )
]
for _attempt in YAML:
    if _attempt.words[:2] == ["recipes", "cp"]:
        _attempt.words.append("copy.yaml")
PLACES_ELSEWHERE = ("/etc/hosts.txt", "../../elsewhere.jsonl", "~/rows.jsonl", "../*/rows.jsonl", "x/../../r.jsonl")
# Lightning writes to what fsspec can open.
ADDRESSES = ("file:///tmp/x", "file:/tmp/x", "FILE:x", "local:../x", "s3://bucket/x", "simplecache::file:/tmp/x")
SOURCES = [
    *(
        packed(f"source {number}", {"data.sources.notes.path": path}, "which is not in the recipe's package")
        for number, path in enumerate((*PLACES_ELSEWHERE, ["rows.jsonl", "/etc/hosts.txt"]))
    ),
    *(
        packed(f"base {number}", {"model.base": path}, "model.base is")
        for number, path in enumerate(("../..", "/etc", "~"))
    ),
    packed("template", {"model.template": "../../mine.jinja"}, "model.template is"),
    packed("runs", {"trainer.default_root_dir": "/tmp/elsewhere"}, "trainer.default_root_dir is"),
    packed("runs beside", {"trainer.default_root_dir": "../runs"}, "trainer.default_root_dir is"),
    packed(
        "checkpoints",
        {"trainer.callbacks": [{"class_path": "ModelCheckpoint", "init_args": {"dirpath": "~/.config"}}]},
        "trainer.callbacks is ~/.config",
    ),
    packed(
        "logs",
        {"trainer.logger": {"class_path": "CSVLogger", "init_args": {"save_dir": "a/../../b"}}},
        "trainer.logger.init_args.save_dir is",
    ),
    *(
        packed(
            f"logs at an address {number}",
            {"trainer.logger": {"class_path": "CSVLogger", "init_args": {"save_dir": address}}},
            f"trainer.logger.init_args.save_dir is {address}, which is not in the recipe's package",
        )
        for number, address in enumerate(ADDRESSES)
    ),
    packed("runs at an address", {"trainer.default_root_dir": "file:///tmp/x"}, "trainer.default_root_dir is file:"),
    packed(
        "lexicon",
        {"audits": {"a": {"class_path": "Representation", "init_args": {"lexicon": "/etc/passwd"}}}},
        "audits.a.init_args.lexicon is /etc/passwd",
    ),
    packed(
        "link",
        {"data.sources.notes.path": "link.jsonl"},
        "which is not in the recipe's package",
        links={f"{PACK}/link.jsonl": "../files_of_others/rows.jsonl"},
    ),
    packed(
        "linked folder",
        {"data.sources.notes.path": "folder/*.jsonl"},
        "which is not in the recipe's package",
        links={f"{PACK}/folder": "../files_of_others"},
    ),
    packed(
        "linked base",
        {"model.base": "./weights"},
        "model.base is",
        files={f"{PACK}/linked base.yaml": recipe({"model.base": "./weights"}), f"{PACK}/weights/config.json": "{}"},
        links={f"{PACK}/weights/model.safetensors": "../../files_of_others/rows.jsonl"},
    ),
    own(
        "a link in a package",
        {"data.sources.notes.path": f"package://{PACK}/linked.jsonl"},
        "is a link that leads out of its package",
        links={f"{PACK}/linked.jsonl": "../files_of_others/rows.jsonl"},
    ),
    own("a way out of a package", {"data.sources.notes.path": f"package://{PACK}/../x.jsonl"}, ".. is not allowed"),
    own("a package of no name", {"data.sources.notes.path": "package:///etc/hosts.txt"}, "no package etc is"),
    *(
        own(f"source at {url}", {"data.sources.notes.path": url}, says)
        for url, says in (
            ("http://127.0.0.1:9/rows.jsonl", "http:// is not read"),
            ("https://localhost/rows.jsonl", "https:// is not read"),
            ("file:///etc/hosts.txt", "file:// is not read"),
            ("ftp://[::1]/rows.jsonl", "ftp:// is not read"),
            ("hf://../elsewhere", "is no name of a data set"),
            ("hf:///etc", "wanted: hf://owner/name"),
            ("hf://http://127.0.0.1:9/a", "wanted: hf://owner/name"),
        )
    ),
    *(
        own(f"base at {url}", {"model.base": url}, "is none of: a hub id")
        for url in ("http://127.0.0.1:9/base", "https://localhost/base", "file:///etc", "s3://bucket/base")
    ),
    Attempt("a recipe at an address", ["fit", "--config", "http://127.0.0.1:9/r.yaml"], "http"),
]
INTERPOLATED = ("${oc.env:HOME}/rows.jsonl", "${HOME}/rows.jsonl", "$HOME/rows.jsonl", "%HOME%/rows.jsonl")
ENVIRONMENT = [
    *(own(f"source {text}", {"data.sources.notes.path": text}, f"{text} does not exist") for text in INTERPOLATED),
    *(own(f"base {text}", {"model.base": text}, f"'{text}' is none of") for text in INTERPOLATED),
]
SHADOW = """
from pathlib import Path
from tunesmith import Evaluator
class ExactMatch(Evaluator):
    def __init__(self): Path("sung").touch()
    def measure(self, samples): return []
"""
FAKED = (
    SHADOW.replace("def __init__", '__module__ = "tunesmith_plugins.evaluators.exact_match"\n    def __init__')
    + """
from tunesmith import hookimpl
@hookimpl
def tunesmith_register_evaluators(): return [ExactMatch]
"""
)


def with_plugin(name: str, file: str, text: str, says: str, **more: Any) -> Attempt:
    words = ["fit", "--config", "r.yaml", "--plugin", file]
    return Attempt(name, words, says, files={"r.yaml": recipe(), file: text}, **more)


WIDENED = [
    own("a file among the packages", {"plugins": ["./mine.py"]}, "no plugin package ./mine.py is installed"),
    own("trust by the recipe", {"trust": [CANARY]}, "trust is not a key of a recipe"),
    own("a plugin by the recipe", {"plugin": "./mine.py"}, "plugin is not a key of a recipe"),
    with_plugin("a plugin called os", "os.py", SHADOW, "another module is called os; rename the file"),
    with_plugin("a plugin called tunesmith", "tunesmith.py", SHADOW, "another module is called tunesmith"),
    with_plugin("a plugin in a built-in's name", "faked_of_attempts.py", FAKED, "cannot be imported as tunesmith_plug"),
    with_plugin(
        "a file that shadows a built-in",
        "shadow_of_attempts.py",
        SHADOW,
        "evaluators.exact is ExactMatch: 2 packages have an evaluator called ExactMatch; write which one:",
    ),
    own(
        "a package that shadows a built-in",
        {"evaluators": {"p": "Perplexity"}},
        "evaluators.p is Perplexity: 2 packages have an evaluator called Perplexity; write which one:",
    ),
    Attempt(
        "a function of what is trusted",
        ["fit", "--config", "r.yaml", "--trust", "posixpath"],
        "there is no Callback posixpath.join",
        files={"r.yaml": recipe({"trainer.callbacks": ["posixpath.join"]})},
    ),
]
# What is not refused, and has to stay what it says.
LITERAL = [
    own(
        "literal",
        {
            "data.sources.notes.task": "${oc.env:HOME}",
            "data.sources.notes.about": "$HOME",
            "data.split.keep_together": "~/x",
            "evaluators": {"~": "ExactMatch"},
            "trainer.default_root_dir": "~/runs",
        },
        "",
        code=0,
    ),
    own("a shadow that is left out", {"plugins": [], "evaluators": {"exact": "Perplexity"}}, "", code=0),
    own(
        "a shadowed built-in by its path",
        {"evaluators": {"exact": "tunesmith_plugins.evaluators.perplexity.Perplexity"}},
        "",
        code=0,
    ),
    packed("its own rows", {"data.sources.notes.path": "rows.jsonl"}, "", code=0),
    packed("named by the user", {"data.sources.notes.path": "/etc/hosts.txt"}, "", code=0),
]
for _attempt in LITERAL:
    _attempt.words.append("--print_config")
LITERAL[-1].words.append("--data.sources.notes.path=rows.jsonl")
CONTROLS = [
    # first, so that what libraries do once is not taken for what a recipe does
    own("warm", {}, "", "prepare", code=0, watched=False),
    own("a bird", {"trainer.callbacks": [f"{LET_IN}.Bird"]}, f"trusted: any class below {LET_IN} (--trust)", code=0),
    own("ls", BOMB, "", "recipes ls", code=0, files={"bomb.yaml": BOMB, "deep.yaml": DEEP, "r.yaml": recipe()}),
]
CONTROLS[1].words += ["--trust", LET_IN, "--print_config"]
CONTROLS[2].words.pop()
REFUSED = [*CLASS_PATHS, *SMUGGLED, *YAML, *SOURCES, *ENVIRONMENT, *WIDENED]
ALL = [*CONTROLS, *REFUSED, *LITERAL]
assert len({a.name for a in ALL}) == len(ALL)


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("attempts")
    site = folder / "site"
    (site / PACK).mkdir(parents=True)
    (site / OTHER).mkdir()
    (site / PACK / "__init__.py").write_text(f"import {CANARY}\n")
    row = json.dumps({"prompt": "a", "completion": "b"}) + "\n"
    (site / OTHER / "rows.jsonl").write_text(row)
    (site / PACK / "rows.jsonl").write_text(row)
    for canary in (CANARY, LET_IN):
        (site / f"{canary}.py").write_text(
            f"from lightning.pytorch.callbacks import Callback\nopen({str(folder / SUNG)!r}, 'w')\n"
            "class Bird(Callback): pass\ndef sing(*a, **k): return Bird()\n"
        )
    # installed all the while: recipes that do not use the name are none the worse
    hook = "\nfrom tunesmith import hookimpl\n@hookimpl\ndef tunesmith_register_evaluators(): return [Perplexity]\n"
    (site / "shadow_installed.py").write_text(SHADOW.replace("ExactMatch", "Perplexity") + hook)
    info = site / "acme_shadow-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-shadow\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tunesmith]\nshadow = shadow_installed\n")
    for attempt in ALL:
        (folder / attempt.name.replace("/", "_")).mkdir()
        (folder / attempt.name.replace("/", "_") / "rows.jsonl").write_text(row * 30)
        for name, text in attempt.files.items():
            place = site if name.startswith(PACK) else folder / attempt.name.replace("/", "_")
            (place / name).parent.mkdir(exist_ok=True)
            (place / name).write_text(text)
        for name, target in attempt.links.items():
            (site / name).symlink_to(target)
    cases = folder.parent / f"{folder.name}.json"
    cases.write_text(json.dumps([{**asdict(a), "name": a.name.replace("/", "_")} for a in ALL]))
    home = tmp_path_factory.mktemp("home")
    (home / "rows.jsonl").write_text(row * 30)
    environment = {
        **os.environ,
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(site)]).strip(os.pathsep),
        "PYTHONDONTWRITEBYTECODE": "1",
        "COLUMNS": "200",
    }
    words = [sys.executable, "-W", "ignore", "-c", _RECORD, str(cases), str(folder), CANARY]
    ran = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=570)
    assert ran.returncode == 0, ran.stderr[-5000:]
    return {case["name"]: case for case in json.loads(ran.stdout.splitlines()[-1])}


def of(tried: dict[str, dict[str, Any]], attempt: Attempt) -> dict[str, Any]:
    return tried[attempt.name.replace("/", "_")]


@pytest.mark.slow
@pytest.mark.parametrize("attempt", REFUSED, ids=lambda a: a.name)
def test_it_is_refused_with_one_message_and_leaves_nothing(attempt: Attempt, tried: dict[str, dict[str, Any]]) -> None:
    case = of(tried, attempt)
    assert (case["code"], case["out"].strip()) in (
        (2, ""),
        (2, case["out"].strip() if "recipes" in attempt.words else ""),
    ), case
    said = case["out"] + case["err"]
    assert attempt.says in said
    assert "Traceback" not in said
    assert len(said.splitlines()) <= 6, said
    assert (case["noted"], case["changed"], case["imported"]) == ([], [], False)


@pytest.mark.parametrize("attempt", LITERAL, ids=lambda a: a.name)
def test_what_is_taken_for_text_stays_text(attempt: Attempt, tried: dict[str, dict[str, Any]]) -> None:
    case = of(tried, attempt)
    assert case["code"] == 0, case["err"]
    assert (case["noted"], case["changed"], case["imported"]) == ([], [], False)


def test_no_variable_and_no_home_is_filled_in(tried: dict[str, dict[str, Any]]) -> None:
    config = yaml.safe_load(tried["literal"]["out"])
    source = config["data"]["sources"]["notes"]
    assert (source["task"], source["about"]) == ("${oc.env:HOME}", "$HOME")
    assert config["data"]["split"]["keep_together"] == "~/x"
    assert config["trainer"]["default_root_dir"] == "~/runs"
    assert list(config["evaluators"]) == ["~"]


def test_a_packages_recipe_names_its_own_files_and_what_the_user_says(tried: dict[str, dict[str, Any]]) -> None:
    own_rows, named = (
        Path(yaml.safe_load(tried[name]["out"])["data"]["sources"]["notes"]["path"])
        for name in ("its own rows", "named by the user")
    )
    assert own_rows.parts[-3:] == ("site", PACK, "rows.jsonl")
    assert named.parts[-2:] == ("named by the user", "rows.jsonl")


@pytest.mark.parametrize("name", ["a shadow that is left out", "a shadowed built-in by its path"])
def test_a_built_in_whose_name_a_package_has_too_can_be_used(name: str, tried: dict[str, Any]) -> None:
    exact = yaml.safe_load(tried[name]["out"])["evaluators"]["exact"]
    assert exact["class_path"] == "tunesmith_plugins.evaluators.perplexity.Perplexity"
    assert tried[name]["err"] == ""


def test_the_recorder_sees_what_is_imported_and_written(tried: dict[str, dict[str, Any]]) -> None:
    case = tried["a bird"]
    assert case["code"] == 0, case["err"]
    assert f"import {CANARY}" in case["noted"]
    assert [line for line in case["noted"] if line.startswith("open ") and SUNG in line]
    assert case["changed"] == [SUNG]
    assert CONTROLS[1].says in case["err"]


def test_a_folder_with_hostile_files_is_listed_all_the_same(tried: dict[str, dict[str, Any]]) -> None:
    listed = tried["ls"]["out"].partition("in this folder")[2]
    assert " r " in listed
    assert "bomb" not in listed
    assert "deep" not in listed
