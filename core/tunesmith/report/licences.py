"""Licences as the hub writes them."""

import re
from collections.abc import Iterable

# Those that recipes and bases commonly name, of the hub's list (https://huggingface.co/docs/hub/repositories-licenses).
_NAMES = """
afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bigcode-openrail-m bigscience-bloom-rail-1.0 bigscience-openrail-m bsd
bsd-2-clause bsd-3-clause bsl-1.0 cc cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0
cc-by-nc-nd-4.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0
cdla-sharing-1.0 creativeml-openrail-m ecl-2.0 epl-2.0 eupl-1.1 eupl-1.2 gemma gfdl gpl gpl-2.0 gpl-3.0 isc lgpl-2.1
lgpl-3.0 llama2 llama3 llama3.1 llama3.2 llama3.3 mit mpl-2.0 ms-pl odbl odc-by openrail openrail++ osl-3.0 pddl
postgresql unlicense wtfpl zlib
"""
_KNOWN = frozenset(_NAMES.split())


def hub_licence(stated: str) -> str:
    """The hub's name of a licence (`CC BY 4.0` is `cc-by-4.0`); empty where it has none that is known here."""
    plain = re.sub(r"[\s_]+", "-", stated.strip().lower())
    plain = {"apache-license-2.0": "apache-2.0", "mit-license": "mit", "cc0": "cc0-1.0"}.get(plain, plain)
    return plain if plain in _KNOWN else ""


def of_sources(stated: Iterable[str]) -> dict[str, str]:
    """A card's metadata on the licence, by those of all sources; `unknown`, the hub's own word, where one states none.

    Args:
        stated: What each source states; empty where it states none.
    """
    licences = sorted({licence.strip() for licence in stated})
    if not licences or not all(licences):
        return {"license": "unknown"}
    names = {hub_licence(licence) for licence in licences}
    if len(names) == 1 and (name := names.pop()):
        return {"license": name}
    return {"license": "other", "license_name": ", ".join(licences)}
