"""Sums, riddles with numbers, timetables and statistics."""

from experiments.engine.builtin.corpus.lexicon import timed
from experiments.engine.builtin.corpus.prose import introduce
from experiments.engine.builtin.corpus.writer import Choice, Rule, Writer, phrases

RULES: dict[str, Rule] = {
    "counted": phrases(
        "boxes of {ingredient}", "{plant} leaves", "{colour} stones", "{instrument} lessons", "{tool} handles"
    ),
    "sum": phrases("{first} [arithmetic-sign|{sign}] {second} [equals-sign|=] {result}"),
    "how_many": phrases("[question-word|How] many"),
    "given": phrases(
        "{hero} has {first} {counted} and gets {second} more. {how_many} does {he} have[question-mark|?]",
        "{hero} sold {first} {counted} on {weekday}, then {second} more. {how_many} did {he} sell[question-mark|?]",
        "{A profession} wants {first} {counted}, {a profession} {second}. {how_many} do they want[question-mark|?]",
    ),
    "answer": phrases("Answer: {sum}.\n", "We add them: {sum}.\n"),
    "remark": phrases("", "", " (late)", " (cancelled)", " (via {city})"),
    "trend": phrases(
        "In {year}, {percent}% of all visitors came from {country}.",
        "Sales of the {household} fell by {percent}% in {month}.",
        "About {percent}% of the {animal} population lives near the {landscape}.",
        "The share of {element} in the sample was {percent}% in {year}.",
        "In {country}, {percent}% of people travel by {vehicle}, against {other}% in {country}.",
        "Between {year} and {year} the price of {ingredient} rose by {percent}%.",
    ),
}


def arithmetic(write: Writer) -> None:
    """A sheet of sums, products and differences."""
    write("Exercise {exercise}\n", exercise=write.number(1, 40))
    for _ in range(write.number(6, 10)):
        sign = write.pick("+-*")
        low, high = sorted((write.number(2, 9), write.number(2, 9) if sign == "*" else write.number(10, 60)))
        _bind_sum(write, sign, high, low, {"+": high + low, "-": high - low, "*": high * low}[sign])
        write("{sum}\n")


def word_problem(write: Writer) -> None:
    """Sums told as little stories, with their answers."""
    for _ in range(write.number(2, 3)):
        introduce(write)
        first, second = write.number(3, 60), write.number(2, 39)
        _bind_sum(write, "+", first, second, first + second)
        write.sentences("given")
        write(" {answer}")


def timetable(write: Writer) -> None:
    """Departures, a line for each."""
    write("Departures, {weekday}\n")
    write.bind(vehicle="vehicle")
    for minutes in sorted(write.number(300, 1439) for _ in range(write.number(5, 8))):
        write(
            "{time} {vehicle} to {city}, platform [platform|{platform}]",
            time=timed(minutes),
            platform=write.number(1, 24),
        )
        write("{remark}\n")


def statistics(write: Writer) -> None:
    """Shares and trends in per cent."""
    write("Report on {country}, {year}\n")
    for _ in range(write.number(4, 5)):
        write("", percent=_percentage(write), other=_percentage(write))
        write.sentences("trend")


def _bind_sum(write: Writer, sign: str, first: int, second: int, result: int) -> None:
    operands = {"first": Choice("first-operand", str(first)), "second": Choice("second-operand", str(second))}
    write("", sign=sign, result=Choice("result", str(result)), **operands)


def _percentage(write: Writer) -> Choice:
    return Choice("percentage", str(write.number(2, 98)))


KINDS = {"arithmetic": arithmetic, "word-problem": word_problem, "timetable": timetable, "statistics": statistics}
