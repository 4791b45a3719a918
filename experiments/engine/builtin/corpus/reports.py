"""Weather, matches, news, reviews, travel and lives: what a newspaper or a web site would print."""

from experiments.engine.builtin.corpus.lexicon import dated
from experiments.engine.builtin.corpus.prose import introduce, quoted
from experiments.engine.builtin.corpus.writer import Choice, Rule, Writer, phrases

RULES: dict[str, Rule] = {
    "forecast": phrases(
        "{^weather} will reach {city} by {daypart}, with {weather} to follow.",
        "Expect {weather} in the {direction} and {weather} near the {landscape}.",
        "{A direction} wind brings {weather} and some {weather}.",
        "The {daypart} stays dry, but {weather} returns before {daypart}.",
        "Clear skies in the {direction} give way to {weather} and {weather}.",
        "Drivers near the {landscape} should beware of {weather} and {weather}.",
    ),
    "reading": phrases(
        "Highs of [temperature|{high}] degrees, lows of [temperature|{low}] degrees.",
        "It will be [temperature|{low}] degrees before {daypart} and [temperature|{high}] degrees by {daypart}.",
        "Temperatures climb from [temperature|{low}] to [temperature|{high}] degrees.",
        "Wind from the {direction} at [speed|{speed}] km/h, gusts of [speed|{gust}] km/h.",
        "Gusts reach [speed|{gust}] km/h on the {landscape} and [speed|{speed}] km/h in {city}.",
    ),
    "result": phrases(
        "{home} beat {away} [first-score|{most}]-[second-score|{least}] on {weekday} {daypart}.",
        "{home} won [first-score|{most}]-[second-score|{least}] against {away} at {clock} on {weekday}.",
        "{away} lost [first-score|{least}]-[second-score|{most}] to {home} in {city}.",
        "{away} went down [first-score|{least}]-[second-score|{most}] at {home} on {weekday}.",
    ),
    "goal": phrases(
        "{surname} scored the {ordinal} goal in minute [match-minute|{minute}] after a pass from {surname}.",
        "In minute [match-minute|{minute}], {surname} headed the {ordinal} goal for {home}.",
        "{surname} scored in minute [match-minute|{minute}] and made it [first-score|{most}]-[second-score|{least}].",
        "{surname} of {away} was sent off in minute [match-minute|{minute}] for a foul on {surname}.",
        "At the break it was [first-score|{early}]-[second-score|{early}], and {surname} came on for {surname}.",
    ),
    "crowd": phrases(
        "The fans of {home} went home {glad}.",
        "The fans of {away} were {sad}.",
        f"Coach {{surname}} [speech-verb|said], {quoted('We are {glad} about the {ordinal} goal', '.')}",
        f"Coach {{surname}} [speech-verb|said], {quoted('I am {sad} about the {ordinal} goal', '.')}",
        "Next {weekday} {away} will play {team} in {city}.",
        "There was {weather} before {daypart} and the pitch was heavy.",
    ),
    "news_lead": phrases(
        "The mayor of {city} opened a new bridge for every {vehicle} on {weekday}.",
        "{A animal} escaped from the zoo in {city} on {weekday} {daypart}.",
        "Police in {city} are looking for {a profession} with {a colour} {garment}.",
        "Workers in {city} stopped every {vehicle} and {vehicle} on {weekday}.",
        "The government of {country} will close its border with {country} in {month}.",
        "A fire destroyed a factory for {household} parts near {city} on {weekday}.",
        "Ministers of {country}, {country} and {country} met in {city} this {month}.",
    ),
    "news_more": phrases(
        f"{quoted('We have never seen anything like it', ',')} [speech-verb|said] {{hero}} {{surname}}.",
        f"{quoted('Nobody is hurt, we are {glad}', ',')} [speech-verb|said] {{hero}} {{surname}}, {{a profession}}.",
        f"{quoted('People here are {sad} and want answers', ',')} [speech-verb|said] {{hero}} {{surname}}.",
        f"Mr {{surname}}, {{a profession}} from {{city}}, [speech-verb|said], {quoted('It will cost us a lot', '.')}",
        "About [percentage|{percent}]% of the voters agree, down from [percentage|{percents}]% in {year}.",
        "Prices rose by [percentage|{percent}]% in {month} and by [percentage|{percents}]% in {month}.",
        "The last time this happened was in {year}.",
        "Trade with {country} grew by [percentage|{percent}]% in {year}.",
        "Experts from {country} and {country} will arrive on {weekday}.",
    ),
    "love_it": phrases(
        "This {household} is {praise} and {praise}.",
        "The {colour} one looks {praise} beside my {household}.",
        "My {relative} calls it {praise}, and I am {glad}.",
        "{A praise} product at {a praise} price.",
        "Delivery was {praise} and the {garment} was {praise} too.",
        "I would buy this {praise} {tool} again.",
    ),
    "hate_it": phrases(
        "This {household} is {complaint} and {complaint}.",
        "The {colour} one looks {complaint} beside my {household}.",
        "My {relative} calls it {complaint}, and I am {sad}.",
        "{A complaint} product at {a complaint} price.",
        "Delivery was {complaint} and the {garment} was {complaint} too.",
        "I sent this {complaint} {tool} back.",
    ),
    "journey": phrases(
        "From {city} we took the {vehicle} to {city} and went {direction}.",
        "The road goes {direction} past the {landscape} to the {landscape}.",
        "In {country} we saw {a animal} by the {landscape}.",
        "Walk {direction} past the {landscape} until you reach the {landscape}.",
        "Our guide, {a profession} from {city}, {went} {manner} ahead.",
        "Every {daypart} there was {weather}, so take {a garment} and {a garment}.",
        "The {landscape} in the {direction} of {country} is {praise}.",
        "The hotel in {city} was {complaint}, but the {landscape} was {praise}.",
    ),
    "life": phrases(
        "In {event} {he} moved to {city} and worked as {a profession}.",
        "{^he} married {friend} {surname} in {event} and had {number_word} children.",
        "From {event} to {later} {he} taught the {instrument} in {city}.",
        "{^his} {relative}, {a profession} from {country}, died in {event}.",
        "{^he} crossed {country} by {vehicle} in {event} to study the {animal}.",
        "{^his} {ordinal} book about {plant} and {plant} appeared in {event}.",
        "In {event} {he} discovered a way to make {element} from {element}.",
    ),
}


def weather_report(write: Writer) -> None:
    """A forecast with temperatures and wind."""
    write.bind(city="city")
    write("Weather for {city}, {weekday}\n")
    for _ in range(write.number(3, 5)):
        low, speed = write.number(1, 19), write.number(10, 60)
        write("", low=low, high=low + write.number(3, 12), speed=speed, gust=speed + write.number(5, 35))
        write.sentences("forecast", "reading")


def match_report(write: Writer) -> None:
    """A football match: the score, the goals with their minutes, and how the fans felt."""
    home, away = write.distinct("team", 2)
    least = write.number(0, 3)
    write("{result}", home=home, away=away, least=least, most=least + write.number(1, 4), early=write.number(0, 2))
    for minute in sorted(write.number(2, 90) for _ in range(write.number(3, 5))):
        write("", minute=minute)
        write.sentences("goal")
    write.sentences("crowd", "crowd", "crowd")


def league_table(write: Writer) -> None:
    """The results of one round, a line for each match."""
    write("Results, {weekday} {day} {month}\n")
    for _ in range(write.number(4, 6)):
        first, second = write.distinct("team", 2)
        write(
            "{home} [first-score|{goals}]-[second-score|{other}] {away}\n",
            home=first,
            away=second,
            goals=write.number(0, 5),
            other=write.number(0, 5),
        )


def news(write: Writer) -> None:
    """A news item with a headline and people's words."""
    introduce(write)
    write.bind(city="city")
    write("{city}, {day} {month}. {news_lead}")
    for _ in range(write.number(4, 6)):
        write("", percent=write.number(2, 48), percents=write.number(49, 97))
        write.sentences("news_more")


def review(write: Writer) -> None:
    """A customer's review: the stars decide whether it is praise or complaint."""
    write.bind(household="household", tool="tool")
    good = write.chance(0.5)
    stars = write.number(4, 5) if good else write.number(1, 2)
    write("{^household} and {tool}: {stars}/5 stars\n", stars=stars)
    write.sentences(*["love_it" if good else "hate_it"] * write.number(4, 6))
    write(" I paid {currency}{amount} in {month}, ")
    write("and I recommend it." if good else "and I want my money back.")


def travel_report(write: Writer) -> None:
    """A traveller's advice."""
    write("{^season} in {country}\n")
    write.sentences(*["journey"] * write.number(6, 8))


def biography(write: Writer) -> None:
    """A life in dates."""
    introduce(write)
    birth = write.number(1820, 1960)
    write(
        "{hero} {surname} (born {day} {month} {birth} in {city}) was {a profession} from {country}.",
        birth=Choice(None, dated(birth)),
    )
    for age in sorted(write.number(18, 60) for _ in range(write.number(4, 6))):
        write("", event=dated(birth + age), later=dated(birth + age + write.number(1, 9)))
        write.sentences("life")


KINDS = {
    "weather-report": weather_report,
    "match-report": match_report,
    "league-table": league_table,
    "news": news,
    "review": review,
    "travel-report": travel_report,
    "biography": biography,
}
