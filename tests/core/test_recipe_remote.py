"""Recipes from the net: what was looked at is what runs, and nothing of this machine is asked or named."""

import hashlib
import shlex
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.cli.main import main
from tunesmith.errors import RecipeError
from tunesmith.recipe import public_https
from tunesmith.recipe.compose import compose
from tunesmith.recipe.public_https import is_public
from tunesmith.recipe.read_yaml import MAX_BYTES
from tunesmith.recipe.remote import fetch

RECIPE = b"# From afar.\ndata: {batch_size: 4}\n"


def pinned(address: str, content: bytes = RECIPE) -> str:
    return f"{address}#sha256={hashlib.sha256(content).hexdigest()}"


class Site:
    """A server on this machine.

    Attributes:
        answers: What each path gives: content, or where it leads.
        asked: The paths that were asked for.
    """

    def __init__(self) -> None:
        self.answers: dict[str, bytes | str] = {"/mine.yaml": RECIPE}
        self.asked: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                answer = site.answers.get(self.path)
                self.send_response(404 if answer is None else 302 if isinstance(answer, str) else 200)
                if isinstance(answer, str):
                    self.send_header("Location", answer)
                self.end_headers()
                if isinstance(answer, bytes):
                    self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.root = f"https://localhost:{self.server.server_port}"


@pytest.fixture
def closed_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server without a certificate, on an address that is not public."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(public_https, "secured", lambda plain, host: plain)
    made = Site()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def site(closed_site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The same as if it were on the internet."""
    monkeypatch.setattr(public_https, "is_public", lambda address: True)
    return closed_site


def refusal(*configs: str) -> str:
    with pytest.raises(RecipeError) as caught:
        compose(configs)
    return str(caught.value)


def test_a_recipe_with_its_digest_is_read_and_nothing_is_kept(site: Site, tmp_path: Path) -> None:
    recipe = compose([pinned(f"{site.root}/mine.yaml")])
    assert (recipe.name, recipe.data, recipe.paths) == ("mine", {"data": {"batch_size": 4}}, [])
    assert recipe.origin("data.batch_size") == f"{site.root}/mine.yaml"
    compose([pinned(f"{site.root}/mine.yaml")])
    assert site.asked == ["/mine.yaml", "/mine.yaml"]
    assert list(tmp_path.iterdir()) == []


def test_without_its_digest_it_is_refused_and_the_way_to_look_at_it_is_said(site: Site) -> None:
    said = refusal(f"{site.root}/mine.yaml")
    assert f"lightning-cli recipes cp '{pinned(f'{site.root}/mine.yaml')}'" in said
    site.answers["/mine.yaml"] = b"data: [" + b"not even YAML"
    assert "is named without its digest" in refusal(f"{site.root}/mine.yaml"), "nothing is read out of it"


def test_another_recipe_than_the_one_that_was_looked_at_is_refused(site: Site) -> None:
    address = pinned(f"{site.root}/mine.yaml")
    site.answers["/mine.yaml"] = RECIPE + b"\n"
    assert "is not what its digest says" in refusal(address)


def test_redirections_are_followed_to_https_only_and_not_for_ever(site: Site) -> None:
    site.answers |= {"/old.yaml": "/newer.yaml", "/newer.yaml": f"{site.root}/mine.yaml"}
    assert compose([pinned(f"{site.root}/old.yaml")]).name == "old"
    site.answers["/old.yaml"] = site.root.replace("https", "http") + "/mine.yaml"
    assert f"leads to {site.answers['/old.yaml']}; only https://" in refusal(pinned(f"{site.root}/old.yaml"))
    site.answers["/old.yaml"] = "file:///etc/passwd"
    assert "only https://" in refusal(pinned(f"{site.root}/old.yaml"))
    site.answers["/old.yaml"] = "https://["
    assert "cannot be read" in refusal(pinned(f"{site.root}/old.yaml"))
    site.answers["/old.yaml"] = "/old.yaml"
    assert "leads on more than 5 times" in refusal(pinned(f"{site.root}/old.yaml"))


def test_this_machine_and_private_networks_are_never_asked(closed_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(pinned(f"{closed_site.root}/mine.yaml"))
    assert "on this machine or in a private network" in said
    # a site of the internet leads to one of this machine
    monkeypatch.setattr(public_https, "is_public", lambda address: not closed_site.asked)
    closed_site.answers["/out.yaml"] = f"{closed_site.root}/mine.yaml"
    assert "on this machine or in a private network" in refusal(pinned(f"{closed_site.root}/out.yaml"))
    assert closed_site.asked == ["/out.yaml"]


OTHER_ADDRESSES = (
    "127.0.0.1 0.0.0.0 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 224.0.0.1 255.255.255.255 ::1 :: "
    "fe80::1%eth0 fc00::1 ff02::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 2002:7f00:1:: 64:ff9b::7f00:1 64:ff9b::a00:1"
)


@pytest.mark.parametrize("address", OTHER_ADDRESSES.split())
def test_addresses_that_are_not_of_the_internet(address: str) -> None:
    assert not is_public(address)


def test_addresses_of_the_internet() -> None:
    assert all(map(is_public, ("8.8.8.8", "2606:4700::1111", "64:ff9b::808:808")))


@given(st.ip_addresses())
def test_any_address_is_one_or_the_other(address: object) -> None:
    assert is_public(str(address)) in (True, False)


def test_what_is_too_large_or_not_there_or_no_text_is_refused(site: Site) -> None:
    site.answers["/large.yaml"] = b"#" * (MAX_BYTES + 1)
    assert "is larger than 1 MiB" in refusal(pinned(f"{site.root}/large.yaml"))
    assert "the answer is 404" in refusal(pinned(f"{site.root}/gone.yaml"))
    site.answers["/torn.yaml"] = b"\xff"
    assert "is not text in UTF-8" in refusal(pinned(f"{site.root}/torn.yaml", b"\xff"))
    site.answers["/tag.yaml"] = tagged = b"a: !!python/object:os.system {}"
    assert "is not allowed" in refusal(pinned(f"{site.root}/tag.yaml", tagged))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://example.org/a.yaml", "over http anybody on the way can change it"),
        ("ftp://example.org/a.yaml", "is not read; a recipe is a file, package://"),
        ("file:///etc/a.yaml", "is not read; a recipe is a file, package://"),
        ("https:///a.yaml", "is not read"),
        ("https://user:secret@example.org/a.yaml", "https://: an address with a name or password in it"),
        ("https://example.org/", "ends in its file's name"),
        ("https://example.org/...yaml", "ends in its file's name"),
        ("https://example.org/a.yaml#sha256=12", "is no digest"),
        ("https://example.org/a.yaml#main", "is no digest"),
        ("https://[/a.yaml", "is no address"),
        ("hf://acme/a.yaml", "is not hf://owner/name/path"),
        ("hf://acme/recipes/../a.yaml", "is not hf://owner/name/path"),
        ("hf://acme/recipes/a.yaml?split=x", "is not hf://owner/name/path"),
    ],
)
def test_other_addresses_are_refused_without_asking_anybody(
    address: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: pytest.fail("asked"))
    message = refusal(address)
    assert said in message
    assert "secret" not in message


@given(st.text(max_size=40))
def test_any_address_is_read_or_refused(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.getaddrinfo", lambda *_, **__: [])
        with pytest.raises(RecipeError):
            fetch(f"https://{text}/a.yaml")


def test_a_recipe_from_the_net_names_no_file_of_this_machine(site: Site) -> None:
    sources = {"one": {"path": "data/rows.jsonl"}, "two": {"path": ["/etc/passwd", "hf://acme/rows"]}}
    written = {"model": {"base": "~/base", "template": "x.jinja"}, "data": {"sources": sources}}
    site.answers["/mine.yaml"] = content = yaml.safe_dump(written).encode()
    address = pinned(f"{site.root}/mine.yaml", content)
    lines = refusal(address).splitlines()
    assert lines[1:-1] == [
        "  data.sources.one.path: data/rows.jsonl",
        "  data.sources.two.path: /etc/passwd",
        "  model.base: ~/base",
        "  model.template: x.jinja",
    ]
    Path("mine.yaml").write_text("model: {base: acme/base, template: null}\ndata: {sources: {two: null}}\n")
    recipe = compose([address, "mine.yaml"], ["--data.sources.one.path=here.jsonl"])
    assert recipe.data["data"]["sources"] == {"one": {"path": str(Path.cwd() / "here.jsonl")}}


def test_a_saved_recipe_is_as_it_is_there_and_says_what_does_not_come_with_it(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.answers["/mine.yaml"] = content = b"# Afar.\ndata: {sources: {one: {path: rows.jsonl}}}\n"
    assert main(["recipes", "cp", f"{site.root}/mine.yaml"]) == 2
    said = capsys.readouterr().err
    assert not list(Path().iterdir())
    command = shlex.split(said.splitlines()[1].partition("lightning-cli ")[2])
    assert main([*command, "saved.yaml"]) == 0
    assert Path("saved.yaml").read_bytes() == content
    assert "  data.sources.one.path: rows.jsonl does not come with it\n" in capsys.readouterr().out


def test_a_recipe_of_the_hub_is_read_from_its_cache_offline(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (hub_cache / "snapshots" / (hub_cache / "refs/main").read_text() / "mine.yaml").write_bytes(RECIPE)
    recipe = compose([pinned("hf://acme/tiny/mine.yaml")])
    assert (recipe.name, recipe.data) == ("mine", {"data": {"batch_size": 4}})
    assert "is named without its digest" in refusal("hf://acme/tiny/mine.yaml")
    assert "is not what its digest says" in refusal(pinned("hf://acme/tiny/mine.yaml?revision=main", b"other"))
    said = refusal(pinned("hf://datasets/acme/tiny/mine.yaml"))
    assert said.endswith("offline (HF_HUB_OFFLINE) it has to be in the hub's cache already")


def test_a_fit_takes_a_recipe_from_the_net_but_no_lock(bench: Any, site: Site, tiny_base: Path) -> None:
    trained = bench.recipe | {"model": bench.recipe["model"] | {"base": "acme/base"}}
    site.answers["/far.yaml"] = content = yaml.safe_dump(trained).encode()
    words = ("--config", pinned(f"{site.root}/far.yaml", content), "--data.sources.notes.path=rows.jsonl")
    words = (*words, f"--model.base={tiny_base}")
    bench.done("fit", *words, "--trainer.max_steps=1")
    assert len(bench.runs("far")) == 1
    assert "where no lock lies beside it" in bench.done("fit", *words, "--locked", code=2).err
    assert "lies on the net, where no lock can be written" in bench.done("recipes", "lock", words[1], code=2).err
