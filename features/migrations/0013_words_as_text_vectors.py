"""On Postgres the words are text vectors, and not text that vectors are made of.

An index over an expression finds the rows, but what it finds is checked again when many match, and that made a vector
of every row once more: most of the time of a search that is answered by most features.
"""

from django.db import migrations

import features.words_field

_TABLE = "ALTER TABLE features_featurewords"
_COLUMNS = ("tokens", "labels", "exact_tokens")
_FORWARD = [
    "DROP INDEX features_words_fts",
    "DROP INDEX features_exact_tokens_fts",
    f"{_TABLE} " + ", ".join(f"ALTER COLUMN {name} TYPE tsvector USING {name}::tsvector" for name in _COLUMNS),
    f"{_TABLE} ADD COLUMN words tsvector GENERATED ALWAYS AS (tokens || labels) STORED",
    "CREATE INDEX features_words_fts ON features_featurewords USING gin (words)",
    "CREATE INDEX features_exact_tokens_fts ON features_featurewords USING gin (exact_tokens)",
]
_BACK = [
    f"{_TABLE} DROP COLUMN words",
    "DROP INDEX features_exact_tokens_fts",
    f"{_TABLE} "
    + ", ".join(
        f"ALTER COLUMN {name} TYPE text USING array_to_string(tsvector_to_array({name}), ' ')" for name in _COLUMNS
    ),
    """
    CREATE INDEX features_words_fts ON features_featurewords
    USING gin (to_tsvector('simple', tokens || chr(32) || labels))
    """,
    """
    CREATE INDEX features_exact_tokens_fts ON features_featurewords
    USING gin (to_tsvector('simple', exact_tokens))
    """,
]
_HELP = {
    "tokens": "Words of its top tokens.",
    "labels": "Words of its labels and their notes.",
    "exact_tokens": "A word for each top and promoted token, whatever it holds.",
}


def _on_postgres(statements):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            for statement in statements:
                schema_editor.execute(statement)

    return run


class Migration(migrations.Migration):
    dependencies = [("features", "0012_experiment_of_labels")]
    operations = [
        migrations.SeparateDatabaseAndState(
            # On SQLite the columns stay what they are: a table that is rebuilt would lose its triggers.
            database_operations=[migrations.RunPython(_on_postgres(_FORWARD), _on_postgres(_BACK))],
            state_operations=[
                migrations.AlterField(
                    "featurewords",
                    name,
                    features.words_field.WordsField(blank=True, default="", help_text=text),
                )
                for name, text in _HELP.items()
            ],
        )
    ]
