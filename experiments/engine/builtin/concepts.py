"""The planted concepts: what a token of the built-in corpus can be known to be. No torch."""

from dataclasses import dataclass

FOUND_F1 = 0.8  # from here on features are said to find a concept


@dataclass(frozen=True, slots=True)
class Concept:
    """Something that the generator of the corpus knows about a token, with words for people."""

    name: str
    title: str
    description: str


_ALL = (
    # People and places
    Concept("person-name", "Person's first name", "A first name: in stories, signatures, lists and mail."),
    Concept("family-name", "Family name", "A surname such as Mitchell or Nakamura."),
    Concept("family-member", "Family member", "A word for a relative: mother, uncle, niece."),
    Concept("profession", "Profession", "What a person does for a living: baker, surgeon, pilot."),
    Concept("city", "City", "The name of a real city."),
    Concept("country", "Country", "The name of a country."),
    Concept("team-town", "Town of a team", "The town in a football club's name."),
    Concept("team-club", "Club suffix", "Rovers, United and the other second words of a club."),
    Concept("landscape", "Landscape", "A feature of the land: forest, river, cliff."),
    Concept("direction", "Compass direction", "North, southwest and the other points of the compass."),
    # Feelings and judgements
    Concept("positive-feeling", "Positive feeling", "A word for feeling well: happy, proud, relieved."),
    Concept("negative-feeling", "Negative feeling", "A word for feeling bad: sad, jealous, worried."),
    Concept("praise", "Praise", "A word that praises a thing: superb, sturdy, flawless."),
    Concept("complaint", "Complaint", "A word that faults a thing: flimsy, noisy, overpriced."),
    Concept("colour", "Colour", "The name of a colour."),
    Concept("manner-adverb", "Manner", "How something is done: slowly, carefully, gently."),
    # Things
    Concept("animal", "Animal", "An animal: otter, falcon, donkey."),
    Concept("body-part", "Animal's body part", "Wings, paws, whiskers and the like."),
    Concept("plant", "Plant", "A tree, a flower or a herb of the garden."),
    Concept("ingredient", "Ingredient", "Something to cook with: flour, garlic, honey."),
    Concept("kitchen-unit", "Kitchen unit", "A unit for ingredients: grams, cups, handfuls."),
    Concept("garment", "Garment", "A piece of clothing."),
    Concept("household-object", "Household object", "Furniture and appliances: sofa, kettle, mirror."),
    Concept("instrument", "Musical instrument", "Piano, oboe, trombone."),
    Concept("chemical-element", "Chemical element", "Iron, oxygen, neon."),
    Concept("vehicle", "Vehicle", "Train, ferry, bicycle."),
    Concept("tool", "Tool", "Hammer, chisel, ladder."),
    # Times
    Concept("weekday", "Weekday", "Monday to Sunday."),
    Concept("month", "Month", "January to December."),
    Concept("season", "Season", "Spring, summer, autumn, winter."),
    Concept("time-of-day", "Time of day", "Morning, noon, dusk."),
    Concept("weather-condition", "Weather", "Rain, fog, sunshine."),
    Concept("century", "Century", "The first two digits of a year."),
    Concept("year-of-century", "Year in the century", "The last two digits of a year."),
    Concept("day-of-month", "Day of the month", "The digits of a day in a date."),
    Concept("hour", "Hour", "The hour of a time such as 18:45."),
    Concept("minute", "Minute", "The minutes of a time such as 18:45."),
    Concept("iso-month", "Month in a log", "The two digits of the month in 2021-03-14."),
    Concept("iso-day", "Day in a log", "The two digits of the day in 2021-03-14."),
    # Actions
    Concept("speech-verb", "Verb of speech", "Said, whispered, replied."),
    Concept("motion-verb", "Verb of motion", "Walked, crept, galloped."),
    Concept("cooking-verb", "Cooking verb", "Chop, simmer, whisk, as an instruction."),
    # Numbers
    Concept("number-word", "Number word", "A number written as a word: three, eleven."),
    Concept("ordinal", "Ordinal", "First, second, third."),
    Concept("currency-sign", "Currency sign", "The sign before a price: $, € or £."),
    Concept("price-whole", "Price before the point", "The whole part of an amount of money."),
    Concept("price-cents", "Price after the point", "The cents of an amount of money."),
    Concept("first-score", "First team's score", "The goals before the hyphen of a result."),
    Concept("second-score", "Second team's score", "The goals after the hyphen of a result."),
    Concept("match-minute", "Minute of a match", "The digits of the minute in which something happened in a match."),
    Concept("quantity", "Quantity of an ingredient", "The number before a kitchen unit in a list of ingredients."),
    Concept("duration", "Cooking time", "The number of minutes in a recipe."),
    Concept("temperature", "Temperature", "The degrees in a weather report."),
    Concept("speed", "Wind speed", "The kilometres per hour in a weather report."),
    Concept("percentage", "Percentage", "The number before a per cent sign."),
    Concept("platform", "Platform", "The number of a platform in a timetable."),
    Concept("first-operand", "First operand", "The number before a plus, minus or times sign."),
    Concept("second-operand", "Second operand", "The number after a plus, minus or times sign."),
    Concept("arithmetic-sign", "Arithmetic sign", "Plus, minus or times between two numbers."),
    Concept("equals-sign", "Equals sign", "The equals sign of a sum."),
    Concept("result", "Result of a sum", "The digits after an equals sign."),
    # Languages
    Concept("french-noun", "French noun", "A noun of French."),
    Concept("french-verb", "French verb", "A verb of French."),
    Concept("german-noun", "German noun", "A noun of German."),
    Concept("german-verb", "German verb", "A verb of German."),
    Concept("spanish-noun", "Spanish noun", "A noun of Spanish."),
    Concept("spanish-verb", "Spanish verb", "A verb of Spanish."),
    # Speech and structure
    Concept("opening-quotation", "Opening of a quotation", "The quotation mark before words that somebody says."),
    Concept(
        "closing-quotation",
        "Closing of a quotation",
        "The quotation mark after words that somebody says, with the punctuation before it.",
    ),
    Concept("question-word", "Question word", "Who, where, why and the like at the start of a question."),
    Concept("question-mark", "Question mark", "The mark at the end of a question."),
    Concept("list-marker", "List marker", "The hyphen that begins an item of a list."),
    Concept("list-number", "List number", "The number that begins an item of a list."),
    Concept("speaker", "Speaker", "Who speaks in a play, in capitals: DUKE, FOOL."),
    Concept("salutation", "Salutation", "Dear, Hello and the like, at the opening of a letter or a mail."),
    Concept("sign-off", "Sign-off", "The word before the signature of a letter or a mail: Yours, Regards."),
    Concept("headword", "Headword", "The odd word that an entry of a dictionary explains."),
    Concept("word-class", "Word class", "Noun, verb, adjective or adverb, as dictionaries say it."),
    Concept("legal-party", "Party of a contract", "Tenant, buyer, guarantor."),
    Concept("legal-matter", "Matter of a contract", "Licence, warranty, deposit."),
    Concept("legal-modal", "Legal modal verb", "Shall, must or may in a contract."),
    Concept(
        "clause-number",
        "Clause number",
        "The number after a paragraph sign, at the start of a clause or where one is referred to.",
    ),
    # Code and machines
    Concept(
        "function-verb", "Verb of a function", "The verb that begins the name of a function or a file: compute, merge."
    ),
    Concept("variable-name", "Variable name", "The name of a variable in code, shell and web addresses."),
    Concept("indentation", "Indentation", "The line break and spaces before an indented line of Python."),
    Concept("json-key", "JSON key", "The name of a field in a JSON record."),
    Concept("html-tag", "HTML tag", "The name of an HTML element in its opening or closing tag."),
    Concept("log-level", "Log level", "INFO, WARNING, ERROR or DEBUG in a log file."),
    Concept("url-scheme", "URL scheme", "What a URL begins with: https, ftp."),
    Concept("host-name", "Host name", "The name of a computer in addresses, paths and prompts."),
    Concept("domain-ending", "Domain ending", "com, org, net or io."),
    Concept("directory", "Directory", "The first folder of a path: var, home, etc."),
    Concept("file-extension", "File extension", "What follows the last point of a file name: log, csv."),
    Concept("mail-account", "Mail account", "What stands before the at sign of an e-mail address."),
    Concept("shell-prompt", "Shell prompt", "The sign between the host and the command in a terminal."),
    Concept("command-flag", "Command flag", "The name of an option of a command: force in --force."),
    Concept("mail-header", "Mail header", "From, To and Cc, before the addresses of a mail."),
    Concept("user-name", "User name", "The name of a participant of a chat."),
    Concept("chat-slang", "Chat slang", "lol, brb, thx and other words of a chat."),
)

CONCEPTS: dict[str, Concept] = {concept.name: concept for concept in _ALL}
