"""Stories, diaries, letters, plays and poems: people who feel something, speak, and say why."""

from experiments.engine.builtin.corpus.writer import Rule, Writer, phrases, words


def quoted(words: str, mark: str) -> str:
    """A quotation with its two quotation marks; ``mark`` is the punctuation before the second."""
    return f'[opening-quotation|"]{words}[closing-quotation|{mark}"]'


def question(words: str) -> str:
    """A question asked aloud."""
    return f'[opening-quotation|"]{words}[closing-quotation|?"]'


RULES: dict[str, Rule] = {
    "story_opening": phrases(
        "One {season} {daypart}, {hero} {went} {manner} to the {landscape}.",
        "On {weekday} {daypart}, {hero} and {friend} {went} along the {landscape} with {a animal}.",
        "{hero} lived near the {landscape} in {country} with {his} {relative} and an old {animal}.",
        "Every {season}, {hero} {went} to the {landscape} to look for {a animal}.",
        "There was once {a profession} by the name of {hero} who lived by the {landscape}.",
        "Long ago, {hero} had {a colour} {garment} and a small {animal} with soft {body_part}.",
        "In a village near {city}, {hero} worked as {a profession} and played the {instrument} in the {daypart}.",
    ),
    "happening": phrases(
        "{^he} {went} {manner} past the {plant} and the {plant}.",
        "Under the {plant} sat {a animal} with {colour} {body_part}.",
        "{friend} {went} behind {him} and carried the {tool}.",
        "{A colour} {vehicle} stopped beside the {landscape}.",
        "There was {weather} from the {direction}, so they {went} home.",
        "In the house there was {a colour} {household} and {a household}.",
        "{^he} put on {a colour} {garment} and took the {ordinal} path to the {landscape}.",
        "They counted {number_word} {colour} stones and {number_word} {plant} leaves.",
        "The {animal} shook its {body_part} and {went} {handling} into the {landscape}.",
        "By {daypart} there was no more {weather} and the {landscape} was quiet.",
    ),
    "talk": phrases(
        f"{question('{asking}')} {{asked}} {{friend}}.",
        f"{{^he}} {{said}}, {quoted('{telling}', '.')}",
        f"{quoted('{telling}', ',')} {{said}} {{hero}} {{manner}}.",
        f"{{friend}} {{asked}}, {question('{asking}')}",
        f"{quoted('{telling}', ',')} {{friend}} {{said}}.",
    ),
    "asking": phrases(
        "[question-word|Where] did you put the {tool}",
        "Shall we go to {city} on {weekday}",
        "Have you seen my {colour} {garment}",
        "[question-word|Who] left the {household} by the {landscape}",
        "Can you hear the {animal} in the {landscape}",
        "[question-word|Why] do you look so {sad}",
        "[question-word|When] will your {relative} come back",
        "Do you know how to play the {instrument}",
    ),
    "telling": phrases(
        "I saw {a animal} by the {landscape}",
        "My {relative} plays the {instrument} every {daypart}",
        "We will leave for {city} on {weekday}",
        "You have to wear your {garment} when it is cold",
        "I know a {profession} who can help us",
        "Look at the {colour} {plant} over there",
        "I have lost my {garment} and my {tool}",
        "We need {number_word} boxes and a good {tool}",
        "You must not wake the {animal}",
        "I want to see the {landscape} before {daypart}",
    ),
    "good_end": phrases(
        "{hero} felt {glad} because {good_news}.",
        "{friend} was {glad}, for {good_news}.",
        "They were both {glad} when they heard that {good_news}.",
        "{^he} was so {glad} that {he} danced: {good_news}!",
    ),
    "bad_end": phrases(
        "{hero} felt {sad} because {bad_news}.",
        "{friend} was {sad}, for {bad_news}.",
        "They were both {sad} when they heard that {bad_news}.",
        "{^he} was so {sad} that {he} wept: {bad_news}!",
    ),
    "good_news": phrases(
        "the {animal} had come home",
        "{friend} had kept the promise",
        "there was enough {ingredient} for everyone",
        "there was no more {weather}",
        "good news had come from {city}",
        "{his} {relative} was well again",
        "the old {vehicle} started at once",
        "the {garment} had been found",
    ),
    "bad_news": phrases(
        "the {animal} had run away",
        "{friend} had broken the promise",
        "there was no {ingredient} left",
        "everything was ruined by {weather}",
        "nobody had come from {city}",
        "{his} {relative} was ill",
        "the old {vehicle} would not start",
        "the {garment} had been stolen",
    ),
    "diary_line": phrases(
        "I spent the {daypart} with my {relative} at the {landscape}.",
        "{friend} came to see me and we {went} to the market.",
        "I bought {a colour} {garment} and some {ingredient}.",
        "It was a day of {weather}, so I stayed by the {household}.",
        "I practised the {instrument} until {daypart}.",
        "{A animal} {went} {handling} through the garden and ate the {plant}.",
        "The {vehicle} to {city} was late again.",
        "I repaired the {household} with my new {tool}.",
    ),
    "diary_feeling": phrases(
        "I am {glad} because {good_news}.",
        "I am {sad} because {bad_news}.",
        "Tonight I feel {glad} and not {sad} at all.",
        "Yesterday I was {glad}, but now I am {sad}.",
    ),
    "letter_line": phrases(
        "Thank you for the {colour} {garment} that you sent from {city}.",
        "Your {relative} told me about the house by the {landscape}.",
        "We had {weather} all week, and then more {weather} on {weekday}.",
        "My {relative} has bought {a vehicle} and drives it {manner}.",
        "In {month} we will travel to {country} by {vehicle}.",
        "The {animal} is well, and its {body_part} are {colour} again.",
        "I have planted {plant} and {plant} behind the house.",
        "Since {season} I have been working as {a profession} in {city}.",
        "I am learning to play the {instrument}.",
    ),
    "letter_feeling": phrases(
        "We are {glad} that {good_news}.",
        "I was {sad} to hear that {bad_news}.",
        "Everyone here is {glad}, because {good_news}.",
    ),
    "letter_question": phrases(
        "[question-word|When] will you visit us in {city}[question-mark|?]",
        "[question-word|How] is your {relative}[question-mark|?]",
        "Do you still have the old {household}[question-mark|?]",
        "Would you like to come in {month}[question-mark|?]",
    ),
    "closing": phrases(
        "[sign-off|Yours],",
        "[sign-off|Sincerely],",
        "[sign-off|Regards],",
        "[sign-off|Cheerio],",
        "[sign-off|Gratefully],",
        "[sign-off|Faithfully],",
    ),
    "opening": words("salutation", "Dear Dearest Hello Greetings"),
    "role": words("speaker", "DUKE FOOL KING QUEEN CAPTAIN SERVANT JUDGE WITCH KNIGHT GHOST MERCHANT STRANGER"),
    "stage": phrases(
        "aside",
        "laughing",
        "to the {profession}",
        "picking up the {tool}",
        "{manner}",
        "looking at the {household}",
        "putting on {a garment}",
        "from the {household}",
    ),
    "line_asked": phrases(
        *(
            f"{words}[question-mark|?]"
            for words in (
                "Where is the {tool} that I gave you",
                "Who is that {profession} with the {colour} {garment}",
                "Why did you sell the {household}",
                "What did the {profession} say about my {relative}",
                "Have you fed the {animal}",
            )
        )
    ),
    "line_said": phrases(
        "I gave it to your {relative} in {city}.",
        "The {vehicle} is waiting, and I am {sad}.",
        "I never trusted that {profession}.",
        "You look {glad} in that {colour} {garment}.",
        "Let us hide behind the {household} until {daypart}.",
        "My {animal} ate the {ingredient}, and I am {sad}.",
        "Play that song on the {instrument}, and I am {glad}.",
        "Then we must leave for {country} before {daypart}.",
    ),
    "verse": phrases(
        "The {animal} sleeps beside the {rhyme},\nthe {plant} is dreaming of the {echo};",
        "O {colour} {landscape}, O {weather} and {rhyme},\nI follow the {animal} to the {echo}.",
        "My {relative} {went} beyond the {rhyme}\nand {manner} carried home the {echo}.",
        "In {month} falls the {weather} on the {rhyme},\nthe {instrument} remembers all the {echo}.",
        "The {season} puts {a garment} on the {rhyme},\nand {manner} the {animal} finds its {echo}.",
    ),
}

PRONOUNS = {"woman": ("she", "her", "her"), "man": ("he", "him", "his")}
RHYMES = (
    ("light", "sight", "height", "flight", "knight"),
    ("day", "way", "bay", "play", "hay"),
    ("moon", "tune", "dune", "lagoon", "spoon"),
    ("sea", "tree", "bee", "key", "knee"),
    ("stone", "bone", "throne", "tone", "phone"),
    ("air", "stair", "hair", "prayer", "pair"),
)


def introduce(write: Writer) -> None:
    """Choose a hero, the pronouns that go with the name, and a friend."""
    rule = write.pick(("woman", "man"))
    he, him, his = PRONOUNS[rule]
    write.bind(hero=rule, friend=write.pick(("woman", "man")))
    write("", he=he, him=him, his=his)


def story(write: Writer) -> None:
    """A short story: an opening, what happened and was said, and how it felt in the end."""
    introduce(write)
    write("{story_opening}")
    end = write.pick(("good_end", "bad_end"))
    for _ in range(write.number(2, 4)):
        write.sentences("happening", "talk", end)
    write.sentences("happening", "talk")


def diary(write: Writer) -> None:
    """A page of a diary, headed by its date."""
    introduce(write)
    write("{weekday}, {day} {month}\n", he="I", him="me", his="my")
    for _ in range(write.number(3, 5)):
        write.sentences("diary_line", "diary_feeling")


def letter(write: Writer) -> None:
    """A private letter from salutation to signature."""
    introduce(write)
    write("{city}, {day} {month} {year}\n\n", he="I", him="me", his="my")
    write(
        write.pick(
            (
                "{opening} {friend},\n",
                "{opening} Mr {surname},\n",
                "{opening} Mrs {surname},\n",
                "{opening} {relative},\n",
            )
        )
    )
    for _ in range(write.number(3, 4)):
        write.sentences("letter_line", "letter_feeling")
    write.sentences("letter_question")
    write("\n{closing}\n{hero} {surname}")


def play(write: Writer) -> None:
    """A scene: each line is headed by its speaker and may carry a stage direction in parentheses."""
    introduce(write)
    first, second = write.distinct("role", 2)
    write("{^ordinal} scene: {a landscape} near {city}, {daypart}.\n")
    for turn in range(write.number(6, 9)):
        write("{role}", role=first if turn % 2 == 0 else second)
        if write.chance(0.6):
            write(" ({stage})")
        write(":")
        write.sentences("line_asked" if turn % 2 == 0 else "line_said")
        write("\n")


def poem(write: Writer) -> None:
    """Rhymed couplets about beasts, seasons and weather."""
    write("The {animal} in {month}\n")
    for rhymes in write.several(RHYMES, write.number(4, 5)):
        rhyme, echo = write.several(rhymes, 2)
        write("", rhyme=rhyme, echo=echo)
        write.sentences("verse")
        write("\n")


KINDS = {"story": story, "diary": diary, "letter": letter, "play": play, "poem": poem}
