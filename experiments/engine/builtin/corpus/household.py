"""Recipes, lists, receipts, notices: what hangs on the kitchen wall."""

from experiments.engine.builtin.corpus.lexicon import CENTS, priced
from experiments.engine.builtin.corpus.writer import Rule, Writer, phrases

RULES: dict[str, Rule] = {
    "dish": phrases("soup", "salad", "stew", "pie", "bread", "cake", "curry", "pudding"),
    "cooking_step": phrases(
        "{^cook} the {ingredient} and {cook} the {ingredient}.",
        "{^cook} the {ingredient} with the {ingredient} for [duration|{minutes}] minutes.",
        "Then {cook} everything {handling}.",
        "{^cook} for [duration|{minutes}] minutes, then {cook} the {ingredient}.",
        "Add the {ingredient} and {cook} {handling} for [duration|{minutes}] minutes.",
        "{^cook} the {ingredient}, add {number_word} {unit} of {ingredient} and {cook} again.",
    ),
    "measure": phrases(
        "[list-marker|-] [quantity|{quantity}] {unit} of {ingredient}\n",
        "[list-marker|-] [quantity|{quantity}] {unit} of {ingredient} (or {ingredient})\n",
    ),
    "errand": phrases(
        "{^cook} the {ingredient} for {relative}",
        "buy {colour} {garment} and {ingredient}",
        "take the {animal} to the {profession}",
        "bring the {vehicle} back before {daypart}",
        "water the {plant} and the {plant}",
        "lend the {tool} to {friend}",
        "call {friend} about the {household}",
        "wash the {garment} and the {garment}",
        "book the {vehicle} to {city} for {weekday}",
    ),
    "goods": phrases("{colour} {garment}", "{household}", "{tool}", "{instrument}", "{ingredient}", "{plant} seeds"),
    "advert_line": phrases(
        "The {household} is {colour} and the {household} is {praise}.",
        "There is a garden with {plant} and {plant}.",
        "The {vehicle} to {city} stops nearby.",
        "No {animal} and no {instrument} please.",
        "Ideal for {a profession} or {a profession}.",
        "View of the {landscape} to the {direction}.",
    ),
    "garden_line": phrases(
        "In {month}, plant the {plant} on the {direction} side and cover it against {weather}.",
        "Cut the {plant} with {a tool} after the {weather} in {month}.",
        "Keep every {animal} and {animal} away from the {plant}.",
        "Water the {plant} {handling} in {season}.",
        "Dig up the {plant} with the {tool} before {season}.",
        "The {plant} likes {weather} but not {weather}.",
    ),
}

QUANTITIES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 40, 50, 75, 90)


def _telephone(write: Writer) -> str:
    return " ".join(str(write.number(20, 99)) for _ in range(3))


def recipe(write: Writer) -> None:
    """Ingredients with quantities, then numbered steps."""
    write("{^ingredient} {dish} with {ingredient}\n")
    for _ in range(write.number(3, 6)):
        write("{measure}", quantity=write.pick(QUANTITIES))
    for step in range(1, write.number(4, 6)):
        write("[list-number|{step}].", step=step, minutes=write.number(2, 90))
        write.sentences("cooking_step")
        write("\n")


def errands(write: Writer) -> None:
    """A numbered list of things to do."""
    write.bind(friend=write.pick(("woman", "man")))
    write("To do on {weekday}\n")
    for item in range(1, write.number(7, 10)):
        write("[list-number|{item}]. {^errand}\n", item=item)


def shopping_list(write: Writer) -> None:
    """Things to buy, a bullet for each."""
    write("Shopping for {weekday}\n")
    for _ in range(write.number(6, 12)):
        write(
            write.pick(
                (
                    "[list-marker|-] {goods}\n",
                    "[list-marker|-] {ingredient}\n",
                    "[list-marker|-] {number_word} {unit} of {ingredient}\n",
                )
            )
        )


def receipt(write: Writer) -> None:
    """A till receipt: goods, prices and their sum."""
    write("Receipt, {day} {month} {recent_year}, {clock}\n")
    currency = write.word("currency")
    total = 0
    for _ in range(write.number(4, 7)):
        cents = write.number(1, 13) * 100 + write.pick(CENTS)
        total += cents
        write("{goods}: {money}{price}\n", money=currency, price=priced(cents))
    write("Total: {money}{price}", price=priced(total))


def advert(write: Writer) -> None:
    """A room or a flat to let."""
    write("To let in {city}: {number_word} rooms, {currency}{amount} a day from {day} {month}.")
    write.sentences(*["advert_line"] * write.number(3, 4))
    write(
        " Call Mrs {surname} on {phone} after {clock} or write to {address}.",
        phone=_telephone(write),
    )


def phone_list(write: Writer) -> None:
    """Names, trades and telephone numbers."""
    write("Telephone numbers\n")
    for _ in range(write.number(5, 8)):
        write(
            "{someone} {surname} ({profession}): {phone}, {address}\n",
            someone=write.word(write.pick(("woman", "man"))),
            phone=_telephone(write),
        )


def garden_notes(write: Writer) -> None:
    """Advice for gardeners, by month and season."""
    write("The garden in {season}\n")
    write.sentences(*["garden_line"] * write.number(4, 6))


KINDS = {
    "recipe": recipe,
    "errands": errands,
    "shopping-list": shopping_list,
    "receipt": receipt,
    "advert": advert,
    "phone-list": phone_list,
    "garden-notes": garden_notes,
}
