"""What a plugin class says about itself."""

from collections.abc import Sequence
from typing import Literal

from tunesmith import Evaluator, Measure, Sample
from tunesmith.plugins.catalog import Entry
from tunesmith.plugins.describe import describe, options, summary


class Base(Evaluator):
    """A base.

    Args:
        shared: Comes
            from the base.
    """

    def __init__(self, shared: float = 0.5) -> None:
        self.shared = shared

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        return [Measure("m", [])]


class Derived(Base):
    """Counts words in [0, 1]
    over two lines.

    More about it.

    Args:
        path: Where; such as `a: b`.
        mode (str): How.
        limit: The most.

            With a second paragraph.

    Raises:
        ValueError: Never: not an option.
    """

    def __init__(
        self,
        path: str,
        mode: Literal["a", "b"] = "a",
        limit: int | None = None,
        names: Sequence[str] = (),
        **rest: float,
    ) -> None:
        super().__init__(**rest)
        self.path, self.mode, self.limit, self.names = path, mode, limit, names


def test_the_options_are_the_constructors_with_the_texts_of_the_args_section() -> None:
    path, mode, limit, names, shared = options(Derived)
    assert (path.name, path.type, path.default, path.doc) == ("path", "str", None, "Where; such as `a: b`.")
    assert path.required
    assert (mode.type, mode.default, mode.doc) == ("Literal['a', 'b']", "'a'", "How.")
    assert (limit.type, limit.default, limit.doc) == ("int | None", "None", "The most. With a second paragraph.")
    assert not limit.required
    assert (names.type, names.default, names.doc) == ("Sequence[str]", "()", "")
    assert (shared.name, shared.type, shared.default, shared.doc) == ("shared", "float", "0.5", "Comes from the base.")


def test_the_summary_is_the_first_paragraph_of_the_classes_own_docstring() -> None:
    assert summary(Derived) == "Counts words in [0, 1] over two lines."
    assert summary(type("Silent", (Derived,), {})) == ""


def test_a_class_without_a_constructor_has_no_options() -> None:
    assert options(type("Plain", (Evaluator,), {"measure": Base.measure})) == ()


def test_a_description_says_where_the_class_comes_from() -> None:
    data = describe(Entry("evaluator", Derived, "acme", "1.0")).as_data()
    assert data["file"] == __file__
    assert data["path"].endswith(".Derived")
    assert (data["package"], data["version"], data["kind"]) == ("acme", "1.0", "evaluator")
    assert data["doc"].startswith("Counts words")
    assert "Raises:" in data["doc"]
    assert [o["name"] for o in data["options"] if o["required"]] == ["path"]


def test_the_prose_is_the_docstring_without_what_the_options_say() -> None:
    prose = describe(Entry("evaluator", Derived, "acme", "1.0")).prose
    assert prose == (
        "Counts words in [0, 1] over two lines.\n\nMore about it.\n\nRaises:\n    ValueError: Never: not an option."
    )
