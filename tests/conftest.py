"""One OpenMP thread a test worker, and no hub: spinning threads on busy cores cost a factor of 50."""

import functools
import gc
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

os.environ.update(
    {
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "MKL_NUM_THREADS": "1",
    }
)


_stays = 0  # how many modules were loaded when the collector was last told of them


def pytest_runtest_logstart() -> None:
    """Take out of the collector's sight what stays to the end: all collected tests, and libraries that tests load.

    One full collection would look at some millions of objects, which takes 0.7 seconds; libraries ask for hundreds.
    """
    global _stays
    if len(sys.modules) > _stays + 200:
        _stays = len(sys.modules)
        gc.collect()
        gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Without collections on the way, as little of what is made is garbage."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first where several workers share them, so that none waits for the other's last one."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """What shares something that is costly to make goes to one worker whole, and first; other tests one by one.

    That are modules with a fixture of their own, and the checks of one plugin, which look at one result of a process.
    """
    from xdist.scheduler import LoadScopeScheduling

    @functools.cache
    def shares(path: str) -> bool:
        return 'scope="module"' in (config.rootpath / path).read_text()

    class SharingFirst(LoadScopeScheduling):  # type: ignore[misc]
        @functools.cache  # noqa: B019  there is one
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            if path == "tests/plugins/test_conformance.py":
                return nodeid.rpartition("-")[0] or nodeid
            return path if shares(path) else nodeid

        def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
            scope = self._split_scope(self.registered_collections[node][item_index])
            super().mark_test_complete(node, item_index, duration)
            if all(self.assigned_work[node][scope].values()):  # else it counts all that is done after each test
                del self.assigned_work[node][scope]

    return SharingFirst(config, log)


# Speed is measured, not timed in tests: on a busy machine any example may take longer than hypothesis would allow it.
settings.register_profile("tunesmith", deadline=None)
settings.load_profile("tunesmith")


# What Lightning's launcher leaves in the environment of a process that trains under DDP or FSDP2, even alone.
_RANKS = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE", "TUNESMITH_RUN_DIRECTORY")


@pytest.fixture(autouse=True)
def no_ranks_left() -> Iterator[None]:
    """A test that trains in this process must not make the next one's commands wait for processes that never come."""
    yield
    for name in _RANKS:
        os.environ.pop(name, None)


@pytest.fixture(autouse=True)
def no_amx(monkeypatch: pytest.MonkeyPatch) -> None:
    """`precision: auto` is fp32 in tests, whatever processor they run on."""
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)


# What loads with the command and with training; loading it takes a process some ten seconds of processor time.
_LOADED = (
    "lightning.pytorch",
    "peft",
    "bitsandbytes",
    "transformers.models.mistral.modeling_mistral",
    "transformers.models.llama.modeling_llama",
    "tunesmith.cli.trainer_cli",
    "tunesmith.cli.fit",
    "tunesmith.cli.quiet",
    "tunesmith.training.specialist",
    "tunesmith.training.fsdp2",
    "tunesmith_plugins",
)
# Run in a copy of that process; what it reads and does not set is given to it.
_BEGIN = """
import gc, importlib.util, multiprocessing, os, sys
gc.freeze()  # else a full collection looks at all that is loaded, and copies each page of it
os.setsid()
multiprocessing.set_start_method(environment.get("START_METHOD"), force=True)  # the platform's, as in a script
os.environ.clear()
os.environ.update(environment)
os.chdir(folder)
for number, path in ((1, out), (2, err)):
    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))
sys.path[:0] = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part not in sys.path]
importlib.invalidate_caches()
sys.argv = list(words)
sys.modules["__main__"].__spec__ = None  # as in a script: Lightning starts further processes by its path
"""
_COMMAND = """
from tunesmith.cli.main import main
code = main()
"""
_FUNCTION = """
spec = importlib.util.spec_from_file_location("kit", words[0])
kit = importlib.util.module_from_spec(spec)
sys.modules["kit"] = kit
spec.loader.exec_module(kit)
getattr(kit, words[1])(*words[2:])
code = 0
"""
_END = """
for stream in (sys.stdout, sys.stderr):
    stream.flush()
sys.exit(code)
"""


class Running:
    """One or several processes that run the same, with the part of `subprocess.Popen` that tests need.

    Args:
        words: What they run.
        started: Each process, and the files of its output.
    """

    def __init__(self, words: list[str], started: list[tuple[Any, Path, Path]]) -> None:
        self.words, self.started = words, started
        self.pid: int = started[0][0].pid

    @property
    def returncode(self) -> int | None:
        """The first process's; negative for a signal, None while it runs."""
        code: int | None = self.started[0][0].exitcode
        return code

    def poll(self) -> int | None:
        """The same."""
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """To the first process alone."""
        os.kill(self.pid, number)

    def communicate(self, timeout: float = 900) -> tuple[str, str]:
        """Wait for all; what they wrote on standard output and error, the first process's first."""
        try:
            for process, _, _ in self.started:
                process.join(timeout)
                if process.exitcode is None:
                    raise subprocess.TimeoutExpired(self.words, timeout)
        finally:
            for process, _, _ in self.started:
                if process.exitcode is None:
                    process.kill()
        out, err = ("".join(files[at].read_text() for files in self.started if files[at].exists()) for at in (1, 2))
        return out, err


class Apart:
    """Runs the command and functions in processes of their own, which are copies of one that has loaded the libraries.

    So each takes what it does, and not the ten seconds of processor time that a fresh one takes to load them. What
    concerns loading, signals to several or standard streams needs fresh ones; `.ci/run` runs the README's commands so.

    Args:
        folder: Where their output goes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(list(_LOADED))

    def start(
        self, *words: str, cwd: Path | str = ".", env: Mapping[str, str] | None = None, ranks: int = 1
    ) -> Running:
        """Start `lightning-cli` in a session of its own; `env` comes on top of this process's environment.

        Several ranks are started as torchrun does it, each in a session of its own.
        """
        script = str(Path(sys.executable).with_name("lightning-cli"))
        return self._start(_COMMAND, [script, *words], cwd, env or {}, ranks)

    def command(
        self, *words: str, cwd: Path | str = ".", env: Mapping[str, str] | None = None, ranks: int = 1
    ) -> subprocess.CompletedProcess[str]:
        """Run `lightning-cli` to its end."""
        return _ended(self.start(*words, cwd=cwd, env=env, ranks=ranks))

    def call(
        self,
        function: Callable[..., None],
        *arguments: object,
        env: Mapping[str, str] | None = None,
        ranks: int = 1,
    ) -> subprocess.CompletedProcess[str]:
        """Call a test module's function; `env` comes on top of this process's environment."""
        words = [function.__code__.co_filename, function.__name__, *map(str, arguments)]
        return _ended(self._start(_FUNCTION, words, ".", env or {}, ranks))

    def _start(self, program: str, words: list[str], folder: Path | str, env: Mapping[str, str], ranks: int) -> Running:
        self.count += 1
        started: list[tuple[Any, Path, Path]] = []
        for rank, environment in enumerate(_ranked({**os.environ, **env}, ranks)):
            out, err = (self.folder / f"{self.count}-{rank}.{name}" for name in ("out", "err"))
            given = {"words": words, "environment": environment, "folder": str(folder)}
            given |= {"out": str(out), "err": str(err)}
            process = self.context.Process(target=exec, args=(_BEGIN + program + _END, given))
            process.start()
            started.append((process, out, err))
        return Running(words, started)


def _ended(running: Running) -> subprocess.CompletedProcess[str]:
    """The first process's exit code and what all have said; nothing of them is left."""
    try:
        out, err = running.communicate()
    finally:
        for process, _, _ in running.started:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
    assert running.returncode is not None
    return subprocess.CompletedProcess(running.words, running.returncode, out, err)


def _ranked(environment: dict[str, str], ranks: int) -> list[dict[str, str]]:
    environment.pop("TUNESMITH_RUN_DIRECTORY", None)
    if ranks == 1:
        return [environment]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "NODE_RANK": "0", "WORLD_SIZE": str(ranks)}
    return [{**environment, **shared, "LOCAL_RANK": str(rank)} for rank in range(ranks)]


@dataclass
class ChatServer:
    """An OpenAI-compatible server that says what it is told to.

    Attributes:
        address: Where it is.
        say: What it says to a question: a text, a value that it says as JSON, or a whole answer with its `choices`.
        code: The status of its answers.
        asked: All requests.
        keys: Their `Authorization`.
    """

    address: str = ""
    say: Callable[[str], Any] = lambda question: "{}"
    code: int = 200
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)

    @property
    def questions(self) -> list[str]:
        """The last turn of each request."""
        return [body["messages"][-1]["content"] for body in self.asked]

    def answer(self, body: dict[str, Any], key: str | None) -> bytes:
        """Note a request, and answer it."""
        self.asked.append(body)
        self.keys.append(key)
        said = self.say(self.questions[-1])
        if not (isinstance(said, dict) and "choices" in said):
            said = {"choices": [{"message": {"content": said if isinstance(said, str) else json.dumps(said)}}]}
        return json.dumps(said).encode()


@pytest.fixture
def chat_server() -> Iterator[ChatServer]:
    """A server of this test's own."""
    state = ChatServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = state.answer(body, self.headers["Authorization"])
            self.send_response(state.code)
            self.send_header("Location", "http://example.org/")  # which nobody may follow
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        state.address = f"http://127.0.0.1:{http.server_port}/v1"
        yield state
        http.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Apart:
    """Processes of their own that need not load the libraries."""
    return Apart(tmp_path_factory.mktemp("apart"))


@pytest.fixture(scope="session")
def write_gguf() -> Callable[..., None]:
    """`(path, base, packed=False)`: a GGUF file of a Llama's weights, by the package `gguf` alone; no chat template."""

    def write(path: Path, base: Path | str, packed: bool = False) -> None:
        gguf = pytest.importorskip("gguf")
        import transformers

        model = transformers.AutoModelForCausalLM.from_pretrained(base)
        tokenizer, config = transformers.AutoTokenizer.from_pretrained(base), model.config
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_context_length(config.max_position_embeddings)
        writer.add_embedding_length(config.hidden_size)
        writer.add_block_count(config.num_hidden_layers)
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count(config.num_attention_heads)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_rope_freq_base(10000.0)
        writer.add_vocab_size(config.vocab_size)
        vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list([token for token, _ in vocabulary])
        writer.add_token_types([1] * len(vocabulary))
        writer.add_token_merges(["a b"])
        writer.add_bos_token_id(tokenizer.bos_token_id)
        writer.add_eos_token_id(tokenizer.eos_token_id)
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
        width = config.hidden_size
        for name, tensor in model.state_dict().items():
            stem, _, suffix = name.rpartition(".")
            array = tensor.numpy()
            if stem.endswith(("q_proj", "k_proj")):  # GGUF interleaves the two halves of rotary pairs
                half = width // config.num_attention_heads // 2
                array = array.reshape(-1, 2, half, width).swapaxes(1, 2).reshape(array.shape)
            kind = gguf.GGMLQuantizationType.Q8_0 if packed and array.ndim == 2 else None
            values = array if kind is None else gguf.quants.quantize(array, kind)
            writer.add_tensor(f"{names.get_name(stem)}.{suffix}", values, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    return write
