"""Rendering: once, with weights from the template's own segments, for templates with and without generation marks."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import tunesmith_plugins
from tunesmith.data.encoded import Encoded
from tunesmith.data.example import Message
from tunesmith.data.render import ChatRenderer
from tunesmith.data.spans import Span, token_weights
from tunesmith.data.templates import NAMED
from tunesmith.errors import DataError, RecipeError, RowError
from tunesmith.evaluation.decoding import stop_ids

_SPECIAL = (
    "<s> </s> <pad> <|im_start|> <|im_end|> <|end|> <|user|> <|assistant|> <|system|> <|endoftext|> [INST] [/INST]"
)
SPECIAL = _SPECIAL.split()

TINY = (Path(tunesmith_plugins.__file__).parent / "bases/tiny-mistral/chat_template.jinja").read_text()
SMOL = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + "
    "message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}"
    "{% endfor %}"
)
ZEPHYR = (
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + "
    "eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + "
    "eos_token }}\n{% endif %}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
)
MARKED_WITHOUT_STOP = (  # the stop token stands outside of what the template marks
    "{{ bos_token }}{% for m in messages %}{{ '<|' + m.role + '|>' }}{% if m.role == 'assistant' %}{% generation %}"
    "{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{{ '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
NO_STOP = (
    "{% for m in messages %}{{ m.role | upper + ': ' + m.content + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
THINKING = (  # strips the thoughts of earlier answers, as Qwen3's does
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' and not loop.last %}"
    "{{ m.content.split('</think>')[-1].lstrip() }}{% else %}{{ m.content }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
PREFILLED = (  # opens the answer with an empty thought that training never sees
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n\n</think>\n\n' }}{% endif %}"
)
TAILED = (  # closes the last turn only with a second token, as Phi-3's does
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
SOUND = {"tiny": TINY, "smol": SMOL, "mistral": MISTRAL, "zephyr": ZEPHYR, "stop outside": MARKED_WITHOUT_STOP, **NAMED}


def make_tokenizer(opens: bool = False, pad: str = "<pad>", eos: str | None = "</s>", trim: bool = True):
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    corpus = [
        "the patient has no fever and takes aspirin user assistant system",
        "Instruction: Response:\n\n 1 2 3",
    ] * 3
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        corpus,
        trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False),
    )
    steps = [processors.ByteLevel(trim_offsets=trim)]
    if opens:
        steps.append(processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 0)]))
    raw.post_processor = processors.Sequence(steps)
    return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token=eos, pad_token=pad)


def with_template(template: str | None, **options) -> ChatRenderer:
    tokenizer = make_tokenizer(**options)
    tokenizer.chat_template = template
    return ChatRenderer(tokenizer)


RENDERERS = {name: with_template(source, opens=name in ("zephyr", "plain")) for name, source in SOUND.items()}


def talk(*contents: str, weights: Sequence[float | None] = ()) -> list[Message]:
    weights = weights or [None] * len(contents)
    roles = ["user", "assistant"] * len(contents)
    return [Message(r, c, w) for r, c, w in zip(roles, contents, weights, strict=False)]


def trained(renderer: ChatRenderer, encoded: Encoded) -> list[str]:
    """What is supervised, as text, one piece for each unbroken stretch."""
    pieces: list[list[int]] = []
    before = 0.0
    for token, weight in zip(encoded.ids, encoded.weights, strict=True):
        if weight:
            if not before:
                pieces.append([])
            pieces[-1].append(token)
        before = weight
    return [renderer.tokenizer.decode(piece, clean_up_tokenization_spaces=False) for piece in pieces]


WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp", "Zs", "Cn"]), min_size=1, max_size=12
)
SAID = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)


@pytest.mark.parametrize("name", SOUND)
@given(contents=st.lists(st.tuples(SAID, SAID), min_size=1, max_size=3))
@settings(max_examples=25)
def test_trap_12_trap_13_just_the_answers_with_their_stop_tokens_are_trained_on(name, contents) -> None:
    renderer = RENDERERS[name]
    turns = talk(*(text for pair in contents for text in pair))
    encoded = renderer.conversation(turns)
    stop = {"tiny": "<|end|>", "smol": "<|im_end|>", "stop outside": "<|end|>", "chatml": "<|im_end|>"}.get(
        name, "</s>"
    )
    assert [piece.strip() for piece in trained(renderer, encoded)] == [answer + stop for _, answer in contents]
    assert 1 <= encoded.supervised < len(encoded.ids)
    last = max(place for place, weight in enumerate(encoded.weights) if weight)
    assert encoded.ids[last] == renderer.tokenizer.convert_tokens_to_ids(stop)


@pytest.mark.parametrize("name", SOUND)
@given(contents=st.lists(st.tuples(SAID, SAID), min_size=1, max_size=3))
@settings(max_examples=25)
def test_trap_17_trap_19_what_a_server_feeds_at_each_turn_begins_the_ids_that_are_trained_on(name, contents) -> None:
    renderer = RENDERERS[name]
    turns = talk(*(text for pair in contents for text in pair))
    ids = renderer.conversation(turns).ids
    served = [{"role": m.role, "content": m.content} for m in turns]
    assert list(ids) == renderer.tokenizer.apply_chat_template(served)["input_ids"]
    for turn in range(1, len(turns), 2):
        prompt = renderer.prompt(turns[:turn])
        assert ids[: len(prompt.ids)] == prompt.ids
        assert set(prompt.weights) == {0.0}
        fed = renderer.tokenizer.apply_chat_template(served[:turn], add_generation_prompt=True)["input_ids"]
        assert list(prompt.ids) == fed
    if renderer.bos_id is not None:
        assert ids.count(renderer.bos_id) == 1
        assert ids[0] == renderer.bos_id


@pytest.mark.parametrize("name", SOUND)
@given(prompt=SAID, answer=SAID)
@settings(max_examples=25)
def test_trap_18_prompt_and_answer_are_the_tokens_of_the_whole_text(name, prompt, answer) -> None:
    renderer = RENDERERS[name]
    turns = talk(prompt, answer)
    encoded, fed = renderer.conversation(turns), renderer.prompt(turns[:1])
    served = [{"role": m.role, "content": m.content} for m in turns]
    text = renderer.tokenizer.apply_chat_template(served, tokenize=False)
    whole = renderer.tokenizer(text, add_special_tokens=False)["input_ids"]  # another way to the ids: all at once
    opens = renderer.bos_id is not None and not text.startswith(renderer.tokenizer.bos_token)
    assert list(encoded.ids) == [renderer.bos_id] * opens + whole
    assert encoded.ids[: len(fed.ids)] == fed.ids
    labels = [token for token, weight in zip(encoded.ids, encoded.weights, strict=True) if weight]
    # what is learned begins where the prompt ends, with no token between the two and none across
    assert list(encoded.ids[len(fed.ids) :][: len(labels)]) == labels
    assert renderer.tokenizer.decode(labels, clean_up_tokenization_spaces=False).strip().startswith(answer)


TALKS = [talk(*(f"the patient takes {n} aspirin {i}, café \n x" for i in range(2 * (1 + n % 3)))) for n in range(20)]


@pytest.mark.parametrize("name", SOUND)
def test_trap_20_the_saved_tokenizer_feeds_a_server_what_was_trained_on(name, tmp_path) -> None:
    renderer = RENDERERS[name]
    renderer.tokenizer.save_pretrained(tmp_path)
    served = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    for turns in TALKS:
        said = [{"role": m.role, "content": m.content} for m in turns]
        assert served.apply_chat_template(said)["input_ids"] == list(renderer.conversation(turns).ids)
        asked = served.apply_chat_template(said[:-1], add_generation_prompt=True)["input_ids"]
        assert asked == list(renderer.conversation(turns).ids[: len(asked)])


def test_trap_17_a_template_without_bos_gets_it_where_the_tokenizer_writes_it_and_saves_it(tmp_path) -> None:
    renderer = with_template(ZEPHYR, opens=True)
    renderer.tokenizer.save_pretrained(tmp_path)
    again = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    ids = again.apply_chat_template([{"role": "user", "content": "fever"}], add_generation_prompt=True)["input_ids"]
    assert tuple(ids) == renderer.prompt(talk("fever")).ids
    assert ids.count(again.bos_token_id) == 1
    assert renderer.text([("fever", 1.0)]).ids.count(again.bos_token_id) == 1
    assert with_template(SMOL).bos_id is None


def test_trap_11_the_end_is_trained_on_where_pad_is_eos() -> None:
    renderer = with_template(MISTRAL, pad="</s>")
    assert renderer.tokenizer.pad_token_id == renderer.tokenizer.eos_token_id
    encoded = renderer.conversation(talk("fever?", "none"))
    assert (encoded.ids[-1], encoded.weights[-1]) == (renderer.tokenizer.eos_token_id, 1.0)
    text = renderer.text([("fever", 1.0)])
    assert (text.ids[-1], text.weights[-1]) == (renderer.tokenizer.eos_token_id, 1.0)


def test_trap_10_a_pad_token_within_an_answer_is_trained_on_as_any_other() -> None:
    renderer = with_template(TINY)
    assert trained(renderer, renderer.conversation(talk("x <pad> y", "a<pad>b"))) == ["a<pad>b<|end|>"]
    assert renderer.text([("a<pad>b", 1.0)]).weights[1:] == (1.0,) * 3


def test_trap_12_a_stop_token_outside_of_the_marks_is_taken_in_and_a_line_break_after_it_is_not() -> None:
    renderer = with_template(MARKED_WITHOUT_STOP)
    encoded = renderer.conversation(talk("a", "b", "c", "d"))
    assert trained(renderer, encoded) == ["b<|end|>", "d<|end|>"]
    assert encoded.weights[-1] == 0
    assert renderer.tokenizer.decode(encoded.ids[-1]) == "\n"


def test_trap_12_eos_closes_the_last_turn_of_a_template_that_has_no_stop_token() -> None:
    renderer = with_template(NO_STOP)
    encoded = renderer.conversation(talk("fever?", "no fever"))
    assert trained(renderer, encoded) == [" no fever</s>"]
    assert encoded.ids[-1] == renderer.tokenizer.eos_token_id
    prompt = renderer.prompt(talk("fever?"))
    assert encoded.ids[: len(prompt.ids)] == prompt.ids
    with pytest.raises(RowError, match="turn 2: the chat template writes no end-of-turn token"):
        renderer.conversation(talk("a", "b", "c", "d"))
    assert trained(renderer, renderer.conversation(talk("a", "b", "c", "d", weights=[0, 0, 0, 1]))) == [" d</s>"]
    with pytest.raises(RowError, match="neither the chat template nor the tokenizer"):
        with_template(NO_STOP, eos=None).conversation(talk("a", "b"))


def test_trap_13_trap_14_what_a_template_marks_nowhere_is_refused_and_never_trained_on_whole() -> None:
    elsewhere = "{% for m in messages %}{{ m.content + '<|end|>' }}{% endfor %}{% if false %}{% generation %}"
    elsewhere += "{% endgeneration %}{% endif %}"
    with pytest.raises(RowError, match="turn 2: the chat template marks nothing"):
        with_template(elsewhere).conversation(talk("a", "b"))


def test_trap_19_templates_that_rewrite_history_or_open_answers_with_more_are_refused() -> None:
    thinking = with_template(THINKING)
    twice = talk("a", "<think>x</think>b", "c", "d")
    with pytest.raises(RowError, match="turn 2: the chat template renders it differently"):
        thinking.conversation(twice)
    last = [*twice[:1], Message("assistant", twice[1].content, 0.0), *twice[2:]]
    encoded = thinking.conversation(last)
    assert trained(thinking, encoded) == ["d<|im_end|>"]
    fed = thinking.prompt(last[:-1])
    assert encoded.ids[: len(fed.ids)] == fed.ids
    with pytest.raises(RowError, match="turn 2: the chat template rewrites what stands before it"):
        with_template(PREFILLED).conversation(talk("a", "b"))


def test_a_second_end_token_of_the_last_turn_is_trained_on() -> None:
    renderer = with_template(TAILED, eos="<|endoftext|>")
    assert trained(renderer, renderer.conversation(talk("a", "b"))) == ["b<|end|>\n<|endoftext|>"]


def test_turns_take_the_weights_that_they_are_given() -> None:
    for source in (TINY, SMOL):
        renderer = with_template(source)
        encoded = renderer.conversation(talk("one", "two", "three", "four", weights=[0.25, 0.0, None, 0.5]))
        stop = "<|end|>" if source == TINY else "<|im_end|>"
        assert trained(renderer, encoded) == [f"one{stop}", f"four{stop}"]
        assert set(encoded.weights) == {0.0, 0.25, 0.5}


def test_stretches_of_a_turn_weigh_what_a_hand_counts_with_the_embedded_tokenizer() -> None:
    from tunesmith.testing.base import tokenizer_of_base

    renderer = ChatRenderer(tokenizer_of_base())
    said = Message("assistant", "The patient is stable.", 2.0, spans=((4, 0.0), (4, 0.5), (9, 0.0), (5, 1.0)))
    encoded = renderer.conversation([Message("user", "Hot?"), said])
    tokens = [renderer.tokenizer.decode([token]) for token in encoded.ids]
    begin = tokens.index("<|assistant|>") + 1
    # "The |pati|ent is st|able.": " pat" ends in the second stretch, "ient" in the third; the end token has the turn's
    by_hand = [("The", 0.0), (" pat", 1.0), ("ient", 0.0), (" is", 0.0), (" st", 0.0), ("able", 2.0), (".", 2.0)]
    assert list(zip(tokens[begin:], encoded.weights[begin:], strict=True)) == [*by_hand, ("<|end|>", 2.0)]
    assert not any(encoded.weights[:begin])


@pytest.mark.parametrize("name", SOUND)
@given(said=st.lists(st.tuples(SAID, st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=4), lead=st.booleans())
@example(said=[("<", 0.0)], lead=False)
@settings(max_examples=30, suppress_health_check=[HealthCheck.filter_too_much])
def test_stretches_weigh_as_a_reference_by_characters_says(name, said, lead) -> None:
    renderer = RENDERERS[name]
    content = (" " if lead else "") + "".join(text for text, _ in said)
    # An answer that is the end token's own text, letter by letter, is taken for that token: not solved yet.
    assume(not any(one in content for one in SPECIAL))
    spans = ((1, 0.0),) * lead + tuple((len(text), weight) for text, weight in said)
    asked = Message("user", "so?")
    try:
        whole = renderer.conversation([asked, Message("assistant", content)])
        encoded = renderer.conversation([asked, Message("assistant", content, spans=spans)])
    except RowError as error:
        if "more than once" in error.reason or "begins with white space" in error.reason:
            return
        raise
    assert encoded.ids == whole.ids
    weights = [weight for length, weight in spans for _ in range(length)]
    text = renderer.tokenizer.decode(whole.ids)
    closing = max(map(text.rfind, SPECIAL))  # which may hold what is said: `<` stands in `</s>` too
    start = text.rindex(content.strip(), 0, closing) - (len(content) - len(content.lstrip()))
    place = 0
    for spelt, weight, before in zip(
        renderer.tokenizer.convert_ids_to_tokens(list(whole.ids)), encoded.weights, whole.weights, strict=True
    ):
        if spelt in SPECIAL:
            assert weight == before
            place += len(spelt.encode())
            continue
        letters = [at for at, letter in enumerate(text) for _ in letter.encode()][place : place + len(spelt)]
        place += len(spelt)
        last = ([at for at in letters if not text[at].isspace()] or letters)[-1]
        inside = 0 <= last - start < len(content) and before
        assert weight == (weights[last - start] if inside else before)


def test_stretches_of_another_text_and_words_that_stand_twice_are_refused() -> None:
    renderer = with_template(TINY)
    with pytest.raises(RowError, match="turn 2: its spans are of another text; change texts by"):
        renderer.conversation([Message("user", "a"), Message("assistant", "two", spans=((2, 1.0),))])
    thinks = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + ':' + (m.thinking or '') + m.content + '<|im_end|>' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant:' }}{% endif %}"
    )
    said = Message("assistant", "it is", fields={"thinking": "so it is. "}, spans=((2, 0.0), (3, 1.0)))
    with pytest.raises(RowError, match="turn 2: its words are not found, or more than once, in what the chat template"):
        with_template(thinks).conversation([Message("user", "a"), said])


def test_a_user_turn_is_trained_on_in_parts_as_well() -> None:
    renderer = with_template(SMOL)
    asked = Message("user", "one two", 1.0, spans=((3, 0.0), (4, 0.5)))
    encoded = renderer.conversation([asked, Message("assistant", "b", 0.0)])
    assert trained(renderer, encoded) == [" two<|im_end|>"]
    assert set(encoded.weights) == {0.0, 0.5, 1.0}


def test_a_system_turn_and_a_default_one_are_not_trained_on() -> None:
    renderer = with_template(SMOL)
    assert "SmolLM" in renderer.tokenizer.decode(renderer.conversation(talk("a", "b")).ids)
    encoded = renderer.conversation([Message("system", "be brief"), *talk("a", "b")])
    assert trained(renderer, encoded) == ["b<|im_end|>"]


def test_tool_calls_and_tool_results_are_rendered_and_only_what_the_assistant_says_is_trained_on() -> None:
    source = (
        "{% if tools %}{{ '<|system|>' + tools[0].name + '<|end|>' }}{% endif %}{% for m in messages %}"
        "{{ '<|im_start|>' + m.role + ':' + m.content }}{% for c in m.tool_calls or [] %}{{ 'call ' + c.name }}"
        "{% endfor %}"
        "{{ '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant:' }}{% endif %}"
    )
    turns = [
        Message("user", "dose?"),
        Message("assistant", "", fields={"tool_calls": [{"name": "lookup"}]}),
        Message("tool", "5 mg", fields={"name": "lookup"}),
        Message("assistant", "5 mg a day"),
    ]
    renderer = with_template({"default": TINY, "tool_use": source})
    encoded = renderer.conversation(turns, [{"name": "lookup"}])
    assert trained(renderer, encoded) == ["call lookup<|im_end|>", "5 mg a day<|im_end|>"]
    assert renderer.tokenizer.decode(encoded.ids).startswith("<|system|>lookup<|end|>")
    assert trained(renderer, renderer.conversation(talk("a", "b"))) == ["b<|end|>"]


def test_errors_of_the_template_and_of_the_conversation_name_the_turn_and_the_reason() -> None:
    with pytest.raises(RowError, match="messages: the chat template refuses the conversation: roles must alternate"):
        with_template(MISTRAL).conversation([Message("user", "a"), Message("user", "b"), Message("assistant", "c")])
    with pytest.raises(RowError, match="turn 1: it is the assistant's"):
        with_template(TINY).conversation([Message("assistant", "a")])
    with pytest.raises(RowError, match="an answer merges with the token before it"):
        with_template(SMOL.replace("'assistant\\n'", "'x'")).conversation(talk("a", "\n\nb"))
    with pytest.raises(RecipeError, match="is broken in line 1"):
        with_template("{% for %}").conversation(talk("a", "b"))


def test_trap_14_a_base_without_a_template_is_refused_with_the_choices() -> None:
    renderer = with_template(None)
    with pytest.raises(RecipeError, match=r"model\.template is not set .* plain, chatml, instruct, or the path"):
        renderer.conversation(talk("a", "b"))
    assert renderer.text([("no template needed", 1.0)]).supervised
    assert renderer.template_source == "none"


def test_templates_are_named_or_read_from_a_file(tmp_path) -> None:
    file = tmp_path / "own.jinja"
    file.write_text(MISTRAL)
    renderer = ChatRenderer(make_tokenizer(), str(file))
    assert trained(renderer, renderer.conversation(talk("a", "b"))) == [" b</s>"]
    assert str(file) in renderer.template_source
    with pytest.raises(RecipeError, match="did you mean chatml"):
        ChatRenderer(make_tokenizer(), "chatlm")
    with pytest.raises(RecipeError, match="plain closes turns with the end-of-sequence token"):
        ChatRenderer(make_tokenizer(eos=None), "plain")
    lacking = make_tokenizer()
    lacking.get_vocab = lambda: {"a": 0}
    with pytest.raises(RecipeError, match="chatml needs <|im_start|> and <|im_end|>".replace("|", r"\|")):
        ChatRenderer(lacking, "chatml")


def test_slow_tokenizers_are_refused() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(DataError, match="Slow is a slow one"):
        ChatRenderer(Slow())


PIECES = st.sampled_from(["the pat", "ient has ", "fever", " no", " ", "as", "pirin"])


@pytest.mark.parametrize("trim", [True, False])
@given(pieces=st.lists(st.tuples(st.text(max_size=12) | PIECES, st.sampled_from([0.0, 1.0, 0.5])), max_size=5))
@settings(max_examples=60)
def test_text_is_tokenised_as_one_with_each_tokens_weight_from_its_last_character(trim, pieces) -> None:
    renderer = TEXT[trim]
    whole = "".join(text for text, _ in pieces)
    encoded = renderer.text(pieces)
    alone = renderer.tokenizer(whole).input_ids
    assert list(encoded.ids) == [*alone, renderer.tokenizer.eos_token_id]
    assert encoded.weights[-1] == (pieces[-1][1] if pieces else 0)
    # an independent reference: a byte-level vocabulary spells each token by its bytes
    weight_of = [weight for text, weight in pieces for _ in text]
    character_of = [place for place, letter in enumerate(whole) for _ in letter.encode()]
    place = 0
    for weight, token in zip(encoded.weights[1:-1], renderer.tokenizer.convert_ids_to_tokens(alone[1:]), strict=True):
        covered = character_of[place : place + len(token)]
        place += len(token)
        solid = [letter for letter in covered if not whole[letter].isspace()]
        assert weight == weight_of[(solid or covered)[-1]]
    assert place == len(character_of)


TEXT = {trim: with_template(None, opens=True, trim=trim) for trim in (True, False)}


def test_a_token_takes_the_weight_of_its_last_character_that_is_not_white_space() -> None:
    def weights(offsets: list[tuple[int, int]], *stretches: tuple[int, int]) -> list[float]:
        return token_weights("ab  cd\n", [Span(*stretch, 1.0) for stretch in stretches], offsets)

    assert weights([(0, 3), (3, 7)], (3, 6)) == [0, 1]  # a word with spaces before it, an end with a line break after
    assert weights([(0, 2), (2, 4), (4, 7)], (3, 4)) == [0, 1, 0]  # white space alone
    assert weights([(0, 2), (3, 3), (4, 6), (7, 7)], (0, 3)) == [1, 1, 0, 0]  # offsets that leave white space out
    assert weights([(0, 1), (0, 1), (0, 1), (1, 7)], (0, 1)) == [1, 1, 1, 0]  # one letter of several bytes


def test_a_text_without_an_end_and_trap_9_its_first_token() -> None:
    renderer = with_template(None)
    encoded = renderer.text([("fever aspirin", 1.0)], end=False)
    assert renderer.tokenizer.decode(encoded.ids) == "fever aspirin"
    assert encoded.weights == (0.0, *[1.0] * (len(encoded.ids) - 1))
    assert renderer.text([], end=False) == Encoded((), ())
    with pytest.raises(RowError, match="no end-of-sequence token"):
        with_template(None, eos=None).text([("a", 1.0)])


CALLS = (  # writes calls and thoughts, each if there are some
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.thinking %}{{ '<think>' + m.thinking + "
    "'</think>' }}{% endif %}{{ m.content }}{% for call in m.tool_calls or [] %}{{ call.function.name }}{{ "
    "call.function.arguments | tojson }}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.mark.parametrize("key", ["thinking", "tool_calls"])
def test_trap_19_what_the_template_leaves_out_of_an_answer_is_refused(key: str) -> None:
    value = "It glows." if key == "thinking" else [{"function": {"name": "lamp", "arguments": {"on": True}}}]
    asked, answer = Message("user", "a"), Message("assistant", "b", fields={key: value})
    with pytest.raises(
        RowError, match=f"turn 2: the chat template leaves out its {key}, so that it would not be learnt"
    ):
        RENDERERS["smol"].conversation([asked, answer])
    written = with_template(CALLS)
    said = "<think>It glows.</think>b" if key == "thinking" else 'blamp{"on": true}'
    assert trained(written, written.conversation([asked, answer])) == [f"{said}<|im_end|>"]
    # what is not learnt may be left out
    quiet = Message("assistant", "b", 0.0, {key: value})
    more = [asked, quiet, Message("user", "c"), Message("assistant", "d")]
    assert trained(RENDERERS["smol"], RENDERERS["smol"].conversation(more)) == ["d<|im_end|>"]


def test_trap_17_special_tokens_that_a_text_has_are_not_written_twice() -> None:
    renderer = with_template(None, opens=True)
    bos, eos = renderer.tokenizer.bos_token_id, renderer.tokenizer.eos_token_id
    bare, whole = renderer.text([("a", 0.0), ("b", 1.0)]), renderer.text([("<s>a", 0.0), ("b</s>", 1.0)])
    assert bare == whole
    assert (whole.ids.count(bos), whole.ids.count(eos), whole.weights[-1]) == (1, 1, 1.0)


@pytest.mark.parametrize("name", [*SOUND, "tailed", "no stop"])
def test_an_answer_ends_with_what_closes_a_turn_of_the_template(name: str) -> None:
    """The token behind an answer in the text that transformers renders; and EOS, with which untrained bases end."""
    template = {"tailed": TAILED, "no stop": NO_STOP}.get(name) or SOUND[name]
    renderer = with_template(template, opens=name in ("zephyr", "plain"))
    tokenizer = renderer.tokenizer
    turns = [{"role": "user", "content": "QUESTION"}, {"role": "assistant", "content": "ANSWER"}]
    behind = str(tokenizer.apply_chat_template(turns, tokenize=False)).rpartition("ANSWER")[2].lstrip()
    closing = next((token for token in SPECIAL if behind.startswith(token)), "</s>")
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 1, "num_key_value_heads": 1}
    network = LlamaForCausalLM(LlamaConfig(vocab_size=8, num_hidden_layers=1, eos_token_id=None, **sizes))
    ends = [tokenizer.convert_ids_to_tokens(at) for at in stop_ids(network, tokenizer, renderer)]
    assert set(ends) == {closing, "</s>"}
