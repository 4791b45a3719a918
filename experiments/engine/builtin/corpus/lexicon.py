"""The words of the built-in corpus: each class of words is one rule, and nearly every class is one concept.

A word belongs to one class only (a test holds that), so that what is planted on it is never a matter of taste.
"""

from experiments.engine.builtin.corpus.writer import Rule, words

TOWNS = ("Northfield", "Ashford", "Kingsbury", "Westbrook", "Harwell", "Stanton", "Riverside", "Oakdale", "Milton",
         "Redhill", "Eastport", "Brookvale", "Lakeside", "Thornbury", "Marlow", "Fairview")  # fmt: skip
CLUBS = ("Rovers", "United", "Athletic", "Wanderers", "Albion", "Rangers")
CENTS = (0, 25, 49, 50, 95)


def dated(year: int) -> str:
    """A year of four digits as a template: its century and the year in it are concepts."""
    return f"[century|{year // 100}][year-of-century|{year % 100:02}]"


def timed(minutes: int) -> str:
    """A time of the day, given in minutes after midnight, as a template: hour and minute are concepts."""
    return f"[hour|{minutes // 60}]:[minute|{minutes % 60:02}]"


def priced(cents: int) -> str:
    """An amount of money as a template: what stands before and after the point are concepts."""
    return f"[price-whole|{cents // 100}].[price-cents|{cents % 100:02}]"


PEOPLE = {
    "woman": words(
        "person-name",
        """Anna Clara Elena Fiona Greta Hannah Irene Julia Karen Laura Maria Nina Olivia Paula Rachel Sofia Teresa
        Ursula Vera Wendy Yvonne Zoe Alice Bella Cecilia Diana Emma Freya Helen Isabel Joanna Katie Mia Nora Priya
        Sarah Tina Uma Valerie Zara Bianca Chloe Esther Farah Monica""",
    ),
    "man": words(
        "person-name",
        """Adam Ben Carlos David Edward Felix George Henry Ivan Jacob Kevin Leo Martin Nathan Oscar Peter Quentin
        Ralph Samuel Thomas Victor Walter Xavier Yusuf Arthur Boris Colin Daniel Ethan Frank Gavin Hugo James Kamal
        Lucas Noah Omar Paul Simon Tariq Otto Vincent William Amir Dmitri""",
    ),
    "surname": words(
        "family-name",
        """Adams Bennett Carter Collins Dixon Ellis Fletcher Foster Gibson Graham Harper Hayes Hughes Jenkins Kaplan
        Keller Lambert Larsen Lawson Marshall Mendez Mitchell Moreno Murphy Nolan Novak Okafor Olsen Osborne Parker
        Patel Petrov Porter Quinn Ramirez Reed Rossi Russell Sanders Schmidt Shah Silva Spencer Stewart Tanaka
        Turner Vargas Walsh Warren Watson Weber Yates Zhang Hoffmann Iqbal Kowalski Lindqvist Nakamura""",
    ),
    "relative": words(
        "family-member",
        "mother father sister brother aunt uncle cousin grandmother grandfather daughter son nephew niece husband wife",
    ),
    "profession": words(
        "profession",
        """teacher nurse doctor farmer carpenter painter baker pilot sailor engineer lawyer gardener librarian plumber
        photographer tailor waiter mechanic journalist chemist electrician architect dentist surgeon translator
        blacksmith fisherman accountant""",
    ),
}

PLACES = {
    "city": words(
        "city",
        """London Paris Berlin Madrid Rome Vienna Lisbon Dublin Oslo Prague Warsaw Athens Cairo Tokyo Delhi Lima Boston
        Chicago Denver Seattle Toronto Montreal Sydney Nairobi Lagos Hamburg Munich Lyon Porto Seville Geneva Zurich
        Krakow Helsinki Stockholm Bristol Leeds Cardiff Glasgow Antwerp""",
    ),
    "country": words(
        "country",
        """France Germany Spain Italy Portugal Ireland Norway Sweden Poland Greece Egypt Japan India Peru Canada Mexico
        Brazil Kenya Nigeria Austria Belgium Denmark Finland Chile Morocco Iceland Hungary Vietnam Nepal""",
    ),
    "team": Rule(None, tuple(f"[team-town|{town}] [team-club|{club}]" for town in TOWNS for club in CLUBS)),
    "landscape": words(
        "landscape", "forest river mountain valley desert lake meadow swamp coast island hill cave waterfall cliff"
    ),
    "direction": words("direction", "north south east west northeast northwest southeast southwest"),
}

QUALITIES = {
    "glad": words(
        "positive-feeling",
        """happy proud cheerful excited grateful delighted hopeful relieved joyful glad thrilled confident peaceful
        amused""",
    ),
    "sad": words(
        "negative-feeling",
        """sad angry lonely worried afraid jealous upset nervous ashamed miserable frustrated anxious disappointed
        gloomy guilty scared heartbroken""",
    ),
    "praise": words(
        "praise",
        """excellent wonderful superb brilliant fantastic reliable elegant sturdy delightful impressive comfortable
        outstanding flawless generous splendid""",
    ),
    "complaint": words(
        "complaint",
        """terrible awful flimsy useless shoddy noisy faulty uncomfortable overpriced dreadful mediocre clumsy fragile
        disgraceful unreliable""",
    ),
    "colour": words("colour", "red blue green yellow purple white black brown grey pink golden turquoise crimson"),
    "manner": words(
        "manner-adverb", "slowly quickly quietly carefully loudly gently eagerly politely softly bravely calmly firmly"
    ),
    "handling": words("manner-adverb", "slowly quickly quietly carefully gently softly firmly"),
}

THINGS = {
    "animal": words(
        "animal",
        """fox wolf bear rabbit owl hedgehog badger otter squirrel deer goat horse donkey eagle falcon heron penguin
        tiger lion leopard monkey camel elephant turtle lizard snake frog dolphin whale""",
    ),
    "body_part": words(
        "body-part", "wings tail paws ears claws beak fur feathers teeth whiskers horns hooves fins scales tongue"
    ),
    "ingredient": words(
        "ingredient",
        """flour sugar butter milk rice onion garlic tomato carrot potato cheese cream pepper salt basil honey lemon
        ginger spinach mushroom lentils chicken salmon beans oats cinnamon vinegar parsley yoghurt""",
    ),
    "unit": words("kitchen-unit", "grams cups tablespoons teaspoons litres ounces slices handfuls millilitres kilos"),
    "cook": words(
        "cooking-verb", "stir chop bake boil fry mix whisk pour peel slice simmer drain grate knead roast melt"
    ),
    "garment": words(
        "garment",
        "coat scarf hat shirt jacket dress sweater skirt raincoat cardigan blouse apron cloak waistcoat",
    ),
    "household": words(
        "household-object",
        "lamp chair table sofa desk kettle toaster bookcase mirror carpet wardrobe blender cupboard pillow blanket",
    ),
    "instrument": words(
        "instrument", "piano violin guitar flute drum cello trumpet harp clarinet accordion oboe banjo trombone"
    ),
    "plant": words(
        "plant", "oak birch maple willow pine tulip fern ivy daffodil lavender orchid moss thistle sunflower cedar"
    ),
    "element": words(
        "chemical-element",
        "iron copper zinc oxygen hydrogen helium carbon nitrogen sodium sulphur neon calcium lithium nickel tin",
    ),
    "vehicle": words("vehicle", "car bus train bicycle lorry ferry tram van boat taxi motorbike tractor helicopter"),
    "tool": words("tool", "hammer drill spanner shovel ladder screwdriver rake chisel wrench axe crowbar trowel"),
}

TIMES = {
    "weekday": words("weekday", "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
    "month": words("month", "January February March April May June July August September October November December"),
    "season": words("season", "spring summer autumn winter"),
    "daypart": words("time-of-day", "morning afternoon evening night midnight noon dawn dusk"),
    "weather": words(
        "weather-condition", "rain snow fog sunshine drizzle hail thunder sleet frost mist showers storms clouds"
    ),
}

ACTIONS = {
    "said": words(
        "speech-verb",
        "said whispered shouted replied answered cried muttered laughed sighed explained called announced",
    ),
    "asked": words("speech-verb", "asked whispered shouted cried muttered called"),
    "went": words(
        "motion-verb",
        "walked ran climbed jumped hurried crept wandered marched crawled swam rode drove galloped strolled raced",
    ),
}

NUMBERS = {
    "number_word": words("number-word", "two three four five six seven eight nine ten eleven twelve"),
    "ordinal": words("ordinal", "first second third fourth fifth sixth"),
    "year": Rule(None, tuple(dated(year) for year in range(1850, 2025))),
    "recent_year": Rule(None, tuple(dated(year) for year in range(1990, 2025))),
    "day": Rule("day-of-month", tuple(str(day) for day in range(1, 29))),
    "clock": Rule(None, tuple(timed(minutes) for minutes in range(6 * 60, 23 * 60, 5))),
    "currency": words("currency-sign", "$ € £"),
    "amount": Rule(
        None, tuple(priced(whole * 100 + cents) for whole in (*range(1, 30), *range(30, 100, 7)) for cents in CENTS)
    ),
}

LEXICON: dict[str, Rule] = {**PEOPLE, **PLACES, **QUALITIES, **THINGS, **TIMES, **ACTIONS, **NUMBERS}
