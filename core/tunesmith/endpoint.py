"""A chat model behind an OpenAI-compatible endpoint, and who may be spoken to."""

import ipaddress
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tunesmith.errors import RecipeError

if TYPE_CHECKING:
    import urllib.request

HOSTS = "TUNESMITH_HOSTS"
_SHOWN = 200


def check_host(endpoint: str) -> None:
    """Refuse to send rows to a machine that the user has not named: recipes are shared, and must not send data away.

    Since 0.12.

    Raises:
        RecipeError: The address is none, or its host is neither this machine nor named in `TUNESMITH_HOSTS`.
    """
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        msg = f"endpoint: {endpoint} is no address; give one such as http://localhost:8000/v1"
        raise RecipeError(msg)
    allowed = {host.strip().casefold() for host in os.environ.get(HOSTS, "").split(",")}
    if not _is_local(parts.hostname) and parts.hostname.casefold() not in allowed:
        msg = (
            f"endpoint: rows would be sent to {parts.hostname}, which is not this machine; where that is meant, say so "
            f"outside of the recipe: {HOSTS}={parts.hostname}"
        )
        raise RecipeError(msg)


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answers.

    Args:
        text: The text.
        stopped: Whether it ended by itself, rather than at `max_tokens`.
        tokens: How many tokens it has, where the server says; else 0.
        prompt: How many the question had, likewise.
    """

    text: str
    stopped: bool
    tokens: int
    prompt: int = 0


def chat(endpoint: str, key: str, timeout: float, **body: Any) -> str:
    """The text that a model answers; args and errors as `complete`.

    Since 0.12.
    """
    return complete(endpoint, key, timeout, **body).text


def complete(endpoint: str, key: str, timeout: float, **body: Any) -> Reply:
    """What a model answers.

    Args:
        endpoint: The address that `/chat/completions` is appended to.
        key: Sent as a bearer token; empty sends none.
        timeout: Seconds to wait.
        body: The request (`model`, `messages`, `temperature`, ...).

    Raises:
        RecipeError: It cannot be reached, refuses, or answers something else.
    """
    import urllib.error
    import urllib.request

    address = f"{endpoint.rstrip('/')}/chat/completions"
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(address, json.dumps(body).encode(), headers)  # noqa: S310  http(s), by check_host
    try:
        with _opener().open(request, timeout=timeout) as answer:
            held = json.load(answer)
        choice, usage = held["choices"][0], held.get("usage") or {}
        stopped = choice.get("finish_reason") != "length"
        tokens, prompt = (int(usage.get(f"{part}_tokens") or 0) for part in ("completion", "prompt"))
        return Reply(str(choice["message"]["content"] or ""), stopped, tokens, prompt)
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(_SHOWN).decode("utf-8", "replace")
        msg = f"endpoint: {address} answers {error.code} {error.reason}: {said}"
        raise RecipeError(msg) from error
    except (OSError, TimeoutError) as error:
        msg = f"endpoint: {address} cannot be reached: {getattr(error, 'reason', error)}"
        raise RecipeError(msg) from error
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        msg = f"endpoint: {address} does not answer as OpenAI's chat completions do"
        raise RecipeError(msg) from error


def _opener() -> "urllib.request.OpenerDirector":
    """Follows no redirect: it could lead to a host that nobody named."""
    import urllib.request

    class NoRedirect(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *args: Any) -> None:
            """Follow none."""

    return urllib.request.build_opener(NoRedirect())
