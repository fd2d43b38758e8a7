"""Draw the sentences that the test model knows, from a small grammar of digits, colours, nouns, verbs and places."""

import random
from dataclasses import dataclass

LANGUAGES = ("en", "pt")

NUMBER_SHARE = 0.35  # of all sentences, those that only count
PLACE_SHARE = 0.30  # of all sentences, those that end in a place
NUMBERS_MIN, NUMBERS_MAX = 3, 6  # words in a sentence that only counts


@dataclass(frozen=True)
class Words:
    """The vocabulary of one language, and how a noun takes its article and colour in it."""

    numbers: tuple[str, ...]
    colours: tuple[str, ...]
    nouns: tuple[str, ...]
    verbs: tuple[str, ...]
    places: tuple[str, ...]
    subject: str
    object: str


WORDS = {
    "en": Words(
        numbers=tuple("zero one two three four five six seven eight nine ten".split()),
        colours=tuple("red green blue black white yellow".split()),
        nouns=tuple("cat dog house river train window table garden doctor teacher".split()),
        verbs=tuple("sees likes opens paints follows finds".split()),
        places=("in the city", "near the sea", "at the station", "on the hill"),
        subject="the {colour} {noun}",
        object="the {noun}",
    ),
    "pt": Words(
        numbers=tuple("zero um dois três quatro cinco seis sete oito nove dez".split()),
        colours=tuple("vermelho verde azul preto branco amarelo".split()),
        nouns=tuple("gato carro livro rio trem jardim médico professor barco prato".split()),
        verbs=tuple("vê abre pinta segue encontra leva".split()),
        places=("na cidade", "perto do mar", "na estação", "no campo"),
        subject="o {noun} {colour}",
        object="o {noun}",
    ),
}


def sentence(language: str, draw: random.Random) -> str:
    """Return one sentence of `language` ("en" or "pt"), with a capital first and a full stop last."""
    words, kind = WORDS[language], draw.random()
    if kind < NUMBER_SHARE:
        # no number twice: equal neighbours cannot be counted by ear, and text that repeats
        # itself is taken for a failure by Whisper's compression ratio threshold
        text = " ".join(draw.sample(words.numbers, draw.randint(NUMBERS_MIN, NUMBERS_MAX)))
    else:
        noun, other = draw.sample(words.nouns, 2)
        subject = words.subject.format(noun=noun, colour=draw.choice(words.colours))
        text = f"{subject} {draw.choice(words.verbs)} {words.object.format(noun=other)}"
        if kind > 1 - PLACE_SHARE:
            text += f" {draw.choice(words.places)}"
    return text[0].upper() + text[1:] + "."
