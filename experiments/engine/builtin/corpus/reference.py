"""Nature notes, dictionaries, contracts, questions and answers, mail and chat."""

from experiments.engine.builtin.corpus.lexicon import timed
from experiments.engine.builtin.corpus.writer import Rule, Writer, phrases, words

RULES: dict[str, Rule] = {
    "nature": phrases(
        "The {creature} has {colour} {body_part} and {colour} {body_part}.",
        "It lives near the {landscape} in {country} and sleeps under {plant} and {plant}.",
        "Its {body_part} are longer than its {body_part}.",
        "In {season} it hunts the {animal} and hides from the {animal}.",
        "It moves {handling} and is seen before {daypart} and after {daypart}.",
        "The young have {colour} {body_part} and leave the {landscape} in {month}.",
        "It was described in {country} in {year}.",
    ),
    "chemistry": phrases(
        "{^element} reacts with {element} and turns {colour}.",
        "The metal is mixed with {element} to make {a tool} or {a tool}.",
        "Heat the {element} {handling} until the {element} is {colour}.",
        "It was found near {city} in {year} by Mr {surname}.",
        "Most of the {element} in the world comes from {country} and {country}.",
        "A mixture of {element} and {element} burns with {a colour} flame.",
    ),
    "word_class": phrases("noun", "verb", "adjective", "adverb", concept="word-class"),
    "legal_person": words("legal-party", "tenant landlord buyer seller licensee lessee supplier guarantor"),
    "legal_thing": words("legal-matter", "licence contract warranty liability deposit lease mortgage invoice"),
    "modal": words("legal-modal", "shall must may"),
    "provision": phrases(
        "The {legal_person} {modal} not transfer the {legal_thing} without the written consent of the {legal_person}.",
        "The {legal_person} {modal} pay the {legal_thing} before the {ordinal} {weekday} of {month}.",
        "Any {legal_thing} under § [clause-number|{clause}] {modal} be settled by the court in {city}.",
        "The {legal_thing} ends if the {legal_person} breaches § [clause-number|{clause}].",
        "Subject to § [clause-number|{clause}], the {legal_person} {modal} inspect the {legal_thing} in {month}.",
        "Nothing in § [clause-number|{clause}] limits the {legal_thing} of the {legal_person}.",
    ),
    "faq_question": phrases(
        "[question-word|How] do I clean the {household}[question-mark|?]",
        "Can I send the {garment} back[question-mark|?]",
        "[question-word|Where] can I park my {vehicle}[question-mark|?]",
        "Do you ship to {country}[question-mark|?]",
        "[question-word|What] do I need to play the {instrument}[question-mark|?]",
        "[question-word|When] does the shop in {city} open[question-mark|?]",
        "Could I bring my {animal}[question-mark|?]",
        "[question-word|Which] {tool} do I need for the {household}[question-mark|?]",
    ),
    "faq_answer": phrases(
        "Use a little {ingredient} and wipe it {handling}.",
        "Yes, until {weekday}, but it costs {currency}{amount}.",
        "We do, for {currency}{amount}.",
        "From {clock} to {clock}, except on {weekday}.",
        "Please ask the {profession} in {city}.",
        "No, unless it is {colour}.",
        "You will need {a tool} and {number_word} screws.",
        "Behind the {landscape}, next to the {plant}.",
    ),
    "mail_body": phrases(
        "Please send me the report about {element} by {weekday}.",
        "The meeting with Mr {surname} is moved to {weekday} at {clock}.",
        "The {vehicle} to {city} leaves at {clock}.",
        "Please write to {address} before {weekday}.",
        "I have attached the contract with {team}.",
        "The file is at {link} until {weekday}.",
        "Read {link} and then {link} before the meeting.",
        "The new {household} for the office costs {currency}{amount}.",
        "I am {glad} that the {profession} from {city} can join us.",
        "I am {sad} that the order from {country} is late.",
    ),
    "subject": phrases(
        "Meeting on {weekday}", "Order from {country}", "Visit to {city}", "The new {household}", "Your {vehicle}"
    ),
    "handle": words("user-name", "skyfox moonpie pixel stormy lucky turbo mango ninja bingo waffle ziggy noodle"),
    "account": words("mail-account", "office sales info support press jobs orders hello billing"),
    "address": phrases("{account}@{host}.{ending}"),
    "slang": words("chat-slang", "lol haha omg brb thx yeah nope btw wow hmm"),
    "chat_line": phrases(
        "{slang} my {animal} ate the {ingredient}",
        "{slang} i am so {glad}",
        "{slang} i am so {sad} today",
        "{slang} it is {weekday} already",
        "[question-word|Who] wants to go to {city}[question-mark|?]",
        "[question-word|Where] is my {garment}[question-mark|?]",
        "{slang} i am in {city}",
        "{slang} the {vehicle} is late again",
        "{slang} new {instrument} is {praise}",
        "{slang} that {household} is {complaint}",
    ),
    "gloss": phrases(
        "a person who repairs {a household}",
        "a tool for cutting {plant}",
        "a small {animal} with {colour} {body_part}",
        "the sound of {a instrument}",
        "a {colour} {garment} worn in {season}",
        "to carry {ingredient} in {a vehicle}",
        "a place near {a landscape}",
        "something made of {element}",
    ),
    "headword": words(
        "headword",
        """blim corvel dapper fennick glabe hostler jorum lanner morrow nubble ortel pelf quoin rivet sorrel tussock
        wimble""",
    ),
}


def animal_entry(write: Writer) -> None:
    """A page from a field guide."""
    write.bind(creature="animal")
    write("The {creature}\n")
    write.sentences(*["nature"] * write.number(5, 7))


def element_note(write: Writer) -> None:
    """Notes from a chemistry book."""
    write("Notes on {element}\n")
    write.sentences(*["chemistry"] * write.number(5, 6))


def legal_notice(write: Writer) -> None:
    """The clauses of a contract."""
    first = write.number(0, 30)
    for number in range(1, write.number(5, 7)):
        write(
            "§ [clause-number|{number}]",
            number=first + number,
            clause=write.number(1, first + number),
        )
        write.sentences("provision")
        write("\n")


def questions(write: Writer) -> None:
    """Questions and answers of a shop."""
    for _ in range(write.number(3, 5)):
        write("Q: {faq_question}\nA: {faq_answer}\n")


def email(write: Writer) -> None:
    """A business mail with its header."""
    write("[mail-header|From]: {address}\n[mail-header|To]: {address}\n")
    if write.chance(0.5):
        write("[mail-header|Cc]: {address}, {address}\n")
    write(
        "Subject: {subject}\n\n{opening} {friend},\n",
        friend=write.word(write.pick(("woman", "man"))),
    )
    write.sentences(*["mail_body"] * write.number(3, 5))
    write("\n{closing}\n{sender} {surname}", sender=write.word(write.pick(("woman", "man"))))


def chat(write: Writer) -> None:
    """A chat log with times and user names."""
    users = write.distinct("handle", 3)
    for minutes in sorted(write.number(360, 1379) for _ in range(write.number(6, 9))):
        write("{time} <{user}> {chat_line}\n", time=timed(minutes), user=write.pick(users))


def dictionary(write: Writer) -> None:
    """Entries of an odd dictionary."""
    for headword in write.distinct("headword", write.number(5, 8)):
        write("{entry}, {word_class}: {gloss}.\n", entry=headword)


KINDS = {
    "animal-entry": animal_entry,
    "element-note": element_note,
    "legal-notice": legal_notice,
    "questions": questions,
    "email": email,
    "chat": chat,
    "dictionary": dictionary,
}
