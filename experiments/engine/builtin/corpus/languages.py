"""French, German and Spanish, on their own and in a phrase book."""

from experiments.engine.builtin.corpus.writer import Rule, Writer, phrases, words

FRENCH: dict[str, Rule] = {
    "fr_man": words("french-noun", "voisin facteur boulanger professeur roi garçon médecin peintre"),
    "fr_woman": words("french-noun", "voisine dame fille reine danseuse tante princesse chanteuse bergère"),
    "fr_masculine": words(
        "french-noun", "chapeau pain vélo fromage chien livre bateau panier jardin couteau cheval manteau gâteau"
    ),
    "fr_feminine": words(
        "french-noun", "pomme lettre clé fleur chaise lampe maison montre table poire robe voiture bouteille fenêtre"
    ),
    "fr_verb": words(
        "french-verb",
        "cherche regarde donne mange vend trouve porte quitte prépare lance prend dessine lave cache perd garde",
    ),
    "fr_who": phrases("le {fr_man}", "la {fr_woman}", "notre {fr_man}", "ma {fr_woman}", "le petit {fr_man}"),
    "fr_what": phrases("un {fr_masculine}", "une {fr_feminine}", "le {fr_masculine}", "la {fr_feminine}",
                       "son {fr_masculine}", "une vieille {fr_feminine}"),
    "fr_where": phrases("dans la cuisine", "au bord de la mer", "devant l'école", "sous le pont", "à la gare",
                        "derrière l'église", "près du village"),
    "fr_when": phrases("ce matin", "chaque jour", "hier soir", "demain", "après le dîner", "pendant l'été"),
    "fr_why": phrases("parce qu'il fait froid", "car tout est fermé", "quand la pluie arrive", "avant de partir",
                      "sans rien dire", "pour faire plaisir"),
    "french": phrases(
        "{^fr_when}, {fr_who} {fr_verb} {fr_what} {fr_where}.",
        "{^fr_who} {fr_verb} {fr_what} {fr_why}.",
        "Il y a {fr_what} {fr_where} et {fr_who} {fr_verb} {fr_what}.",
        "Je crois que {fr_who} {fr_verb} {fr_what} {fr_when}.",
        "Nous aimons bien {fr_what}, mais {fr_who} n'est pas content.",
        "{^fr_who} ne {fr_verb} jamais {fr_what} {fr_where}.",
    ),
}  # fmt: skip

GERMAN: dict[str, Rule] = {
    "de_man": words("german-noun", "Nachbar Lehrer Bäcker König Junge Arzt Maler Seemann Briefträger"),
    "de_woman": words("german-noun", "Nachbarin Frau Königin Tänzerin Großmutter Tante Sängerin Ärztin Köchin"),
    "de_masculine": words("german-noun", "Hut Brief Schlüssel Käse Stuhl Hund Korb Mantel Kuchen Löffel Apfel Tisch"),
    "de_feminine": words("german-noun", "Blume Lampe Uhr Birne Flasche Tasche Jacke Brille Katze Tasse Kerze Gabel"),
    "de_neuter": words("german-noun", "Brot Fahrrad Buch Boot Messer Pferd Bild Haus Kleid Auto Fenster Glas"),
    "de_verb": words(
        "german-verb",
        "sucht sieht kauft isst verkauft findet trägt vergisst bringt braucht nimmt malt wäscht verliert holt",
    ),
    "de_who": phrases("der {de_man}", "die {de_woman}", "unser {de_man}", "meine {de_woman}", "der kleine {de_man}"),
    "de_what": phrases("einen {de_masculine}", "eine {de_feminine}", "ein {de_neuter}", "den {de_masculine}",
                       "die {de_feminine}", "das {de_neuter}"),
    "de_where": phrases("in der Küche", "am Meer", "vor der Schule", "unter der Brücke", "am Bahnhof",
                        "hinter der Kirche", "im Garten"),
    "de_when": phrases("heute früh", "jeden Tag", "gestern Abend", "immer wieder", "nach dem Essen", "im Sommer",
                       "am Sonntag"),
    "de_why": phrases("weil es kalt ist", "denn alles ist geschlossen", "wenn der Regen kommt", "bevor wir gehen",
                      "ohne ein Wort zu sagen", "um zu helfen"),
    "german": phrases(
        "{^de_when} {de_verb} {de_who} {de_what} {de_where}.",
        "{^de_who} {de_verb} {de_what}, {de_why}.",
        "Es gibt {de_what} {de_where}, und {de_who} {de_verb} {de_what}.",
        "Ich glaube, {de_who} {de_verb} {de_what} {de_when}.",
        "Wir mögen {de_what}, aber {de_who} ist nicht zufrieden.",
        "{^de_who} {de_verb} {de_what} nicht mehr {de_where}.",
    ),
}  # fmt: skip

SPANISH: dict[str, Rule] = {
    "es_man": words("spanish-noun", "vecino cartero panadero maestro rey niño médico pintor marinero hermano abuelo"),
    "es_woman": words("spanish-noun", "vecina señora niña reina bailarina abuela tía princesa cantante pastora"),
    "es_masculine": words(
        "spanish-noun", "sombrero pan queso perro libro barco cesto cuchillo caballo abrigo pastel cuadro reloj"
    ),
    "es_feminine": words(
        "spanish-noun", "manzana carta llave flor silla casa bicicleta puerta pera falda botella ventana lámpara mesa"
    ),
    "es_verb": words(
        "spanish-verb",
        "busca mira compra come vende encuentra lleva olvida prepara espera toma dibuja lava esconde pierde guarda",
    ),
    "es_who": phrases("el {es_man}", "la {es_woman}", "nuestro {es_man}", "mi {es_woman}", "el pequeño {es_man}"),
    "es_what": phrases("un {es_masculine}", "una {es_feminine}", "el {es_masculine}", "la {es_feminine}",
                       "su {es_masculine}", "una vieja {es_feminine}"),
    "es_where": phrases("en la cocina", "cerca del mar", "delante de la escuela", "debajo del puente",
                        "en la estación", "detrás de la iglesia", "por el parque"),
    "es_when": phrases("esta mañana", "todos los días", "ayer por la tarde", "mañana", "después de cenar",
                       "durante el verano", "los domingos"),
    "es_why": phrases("porque hace frío", "pues todo está cerrado", "cuando llega la lluvia", "antes de salir",
                      "sin decir nada", "para ayudar"),
    "spanish": phrases(
        "{^es_when}, {es_who} {es_verb} {es_what} {es_where}.",
        "{^es_who} {es_verb} {es_what} {es_why}.",
        "Hay {es_what} {es_where} y {es_who} {es_verb} {es_what}.",
        "Creo que {es_who} {es_verb} {es_what} {es_when}.",
        "Nos gusta mucho {es_what}, pero {es_who} no está contento.",
        "{^es_who} nunca {es_verb} {es_what} {es_where}.",
    ),
}  # fmt: skip

RULES: dict[str, Rule] = {
    **FRENCH,
    **GERMAN,
    **SPANISH,
    "phrase": phrases("In {city} they say", "{A profession} in {country} says", "My {relative} says", "You will hear"),
}


def french_text(write: Writer) -> None:
    """A few sentences in French."""
    write.sentences(*["french"] * write.number(4, 8))


def german_text(write: Writer) -> None:
    """A few sentences in German."""
    write.sentences(*["german"] * write.number(4, 8))


def spanish_text(write: Writer) -> None:
    """A few sentences in Spanish."""
    write.sentences(*["spanish"] * write.number(4, 8))


def phrase_book(write: Writer) -> None:
    """English sentences that quote the other languages."""
    write("Phrase book for {country}\n")
    for number in range(1, write.number(5, 8)):
        language = write.pick(("{french}", "{german}", "{spanish}"))
        write("[list-number|{number}]. {phrase}: " + language + "\n", number=number)


KINDS = {"french": french_text, "german": german_text, "spanish": spanish_text, "phrase-book": phrase_book}
