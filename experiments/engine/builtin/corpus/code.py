"""Programs, data, mark-up and machine logs."""

from experiments.engine.builtin.corpus.lexicon import dated, timed
from experiments.engine.builtin.corpus.writer import Rule, Writer, phrases, words


def text(literal: str) -> str:
    """A string literal of the program."""
    return f'"{literal}"'


LINE, BLOCK = "\n[indentation|    ]", "\n[indentation|        ]"

RULES: dict[str, Rule] = {
    "variable": words("variable-name", "total count items result value index width score limit rows data size"),
    "verb": words("function-verb", "compute load find update check print sort read parse collect filter merge"),
    "function": phrases("{verb}_{variable}", "{verb}_all", "{verb}"),
    "comment": phrases(
        "# add up the {variable}",
        "# skip what is empty",
        "# the {ordinal} row is a header",
        "# never larger than the {variable}",
        "# ask the {profession} on {weekday}",
        "# sorted by {variable}",
        "# keep the {ordinal} {number_word} of them",
    ),
    "condition": phrases(
        "{variable} > {variable}",
        "not {variable}",
        "{variable} == {digit}",
        "{variable} not in {variable}",
        f"{{variable}} == {text('{animal}')}",
    ),
    "expression": phrases(
        "{variable} + {digit}",
        "{function}({variable})",
        "len({variable})",
        "{variable}[{digit}]",
        "{variable} * {variable}",
        text("{colour} {garment}"),
        text("no {ingredient} left"),
        "[]",
    ),
    "statement": phrases(
        "{variable} = {expression}",
        "{variable} += {expression}",
        "{variable} = {function}({variable}, {digit})  {comment}",
        f"if {{condition}}:{BLOCK}return {{expression}}",
        f"if {{condition}}:{BLOCK}raise ValueError({text('{sad} about the {household}')})",
        f"for {{variable}} in {{variable}}:{BLOCK}{{variable}} = {{expression}}",
        f"while {{condition}}:{BLOCK}{{variable}} += {{digit}}{BLOCK}break",
        "{comment}",
        "print({variable}, {expression})",
    ),
    "digit": phrases(*"0123456789"),
    "json_key": phrases(
        "name", "city", "animal", "colour", "month", "price", "job", "plays", "tool", "active", concept="json-key"
    ),
    "tag": words("html-tag", "div p ul li span tr td section article header footer em strong"),
    "inner": phrases(
        "{^colour} {animal} seen in {city}",
        "{^colour} {garment} for {weekday}",
        "The {instrument} of {hero}",
        "{^weather} and {weather}",
        "{hero} the {profession}",
    ),
    "level": words("log-level", "INFO WARNING ERROR DEBUG"),
    "host": words(
        "host-name",
        "riverbank openfield tinywhale newsroom sunbeam paperplane bluebell catnip fireside lighthouse skylark",
    ),
    "ending": words("domain-ending", "com org net io"),
    "scheme": words("url-scheme", "https http ftp sftp"),
    "directory": words("directory", "var home etc data opt tmp srv usr lib mnt"),
    "extension": words("file-extension", "log txt conf csv zip json png"),
    "link": phrases(
        "{scheme}://{host}.{ending}/{variable}/{verb}",
        "{scheme}://{host}.{ending}/{verb}.{extension}",
        "{scheme}://{host}.{ending}",
    ),
    "file": phrases(
        "/{directory}/{host}/{verb}.{extension}",
        "/{directory}/{host}/{variable}.{extension}",
        "/{directory}/{host}.{extension}",
        "/{directory}/{variable}/{verb}.{extension}",
    ),
    "event": phrases(
        "cannot open {file}",
        "wrote {file} for {host}",
        "user opened {link}",
        "{host} did not answer {link}",
        "read {digit} rows from {file}",
        "{host} is up",
        "deleted {file}",
        "sent {file} to {link}",
    ),
    "command": phrases(
        "cp {file} {file}",
        "rm {flag} {file}",
        "cat {file}",
        "curl {flag} {link}",
        "ls {flag} {file}",
        "grep {flag} {variable} {file}",
        "python {verb}.py {flag} {file}",
    ),
    "flag": phrases("--{option}"),
    "option": words("command-flag", "all force quiet recursive verbose"),
}


def python_function(write: Writer) -> None:
    """One or two functions with a few statements."""
    for number in range(write.number(1, 2)):
        write("\n\n" if number else "")
        write("def {function}({variable}, {variable}):")
        for _ in range(write.number(3, 5)):
            write(LINE + "{statement}")
        write(LINE + "return {variable}")


def python_class(write: Writer) -> None:
    """A small class with a docstring comment and methods."""
    write("from {host} import {function}\n\n")
    write("class {^host}:")
    for _ in range(write.number(2, 3)):
        write(f"{LINE}def {{function}}(self, {{variable}}):{BLOCK}self.{{variable}} = {{expression}}")
        write(f"{BLOCK}return self.{{variable}}\n")


def json_records(write: Writer) -> None:
    """Records as a web service would send them."""
    values = {
        "name": '"{someone}"',
        "city": '"{city}"',
        "animal": '"{animal}"',
        "colour": '"{colour}"',
        "month": '"{month}"',
        "price": "{amount}",
        "job": '"{profession}"',
        "plays": '"{instrument}"',
        "tool": '"{tool}"',
        "active": "true",
    }
    for _ in range(write.number(2, 4)):
        write("{{", someone=write.word(write.pick(("woman", "man"))))
        for number, key in enumerate(write.several(tuple(values), write.number(3, 5))):
            write(f'{", " if number else ""}"[json-key|{key}]": {values[key]}')
        write("}}\n")


def html(write: Writer) -> None:
    """A fragment of a web page."""
    for _ in range(write.number(5, 8)):
        tag = write.word("tag").text
        write("", hero=write.word(write.pick(("woman", "man"))))
        write(f"<[html-tag|{tag}]>{{inner}}</[html-tag|{tag}]>\n")


def server_log(write: Writer) -> None:
    """Lines of a log file with date, time and level."""
    year, month, day = write.number(2015, 2024), write.number(1, 12), write.number(1, 28)
    date = f"{dated(year)}-[iso-month|{month:02}]-[iso-day|{day:02}]"
    for minutes in sorted(write.number(0, 1439) for _ in range(write.number(4, 6))):
        write("{date} {time} {level} {event}\n", date=date, time=timed(minutes))


def terminal(write: Writer) -> None:
    """A session at the command line."""
    write.bind(host="host")
    for _ in range(write.number(5, 8)):
        write("{host}[shell-prompt|:~$] {command}\n")


KINDS = {
    "python-function": python_function,
    "python-class": python_class,
    "json-records": json_records,
    "html": html,
    "server-log": server_log,
    "terminal": terminal,
}
