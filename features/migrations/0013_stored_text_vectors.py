"""On Postgres the text vectors are stored beside the words they are made of.

An index over an expression finds the rows, but what it finds is checked again when many match, and that made a vector
of every row once more: most of the time of a search that is answered by most features.
"""

from django.db import migrations

_TABLE = "ALTER TABLE features_featurewords"
_FORWARD = [
    "DROP INDEX features_words_fts",
    "DROP INDEX features_exact_tokens_fts",
    f"""
    {_TABLE}
    ADD COLUMN words_vector tsvector
        GENERATED ALWAYS AS (to_tsvector('simple', tokens || chr(32) || labels)) STORED,
    ADD COLUMN exact_tokens_vector tsvector
        GENERATED ALWAYS AS (to_tsvector('simple', exact_tokens)) STORED
    """,
    "CREATE INDEX features_words_fts ON features_featurewords USING gin (words_vector)",
    "CREATE INDEX features_exact_tokens_fts ON features_featurewords USING gin (exact_tokens_vector)",
]
_BACK = [
    # The indexes go with their columns.
    f"{_TABLE} DROP COLUMN words_vector, DROP COLUMN exact_tokens_vector",
    """
    CREATE INDEX features_words_fts ON features_featurewords
    USING gin (to_tsvector('simple', tokens || chr(32) || labels))
    """,
    """
    CREATE INDEX features_exact_tokens_fts ON features_featurewords
    USING gin (to_tsvector('simple', exact_tokens))
    """,
]


def _on_postgres(statements):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            for statement in statements:
                schema_editor.execute(statement)

    return run


class Migration(migrations.Migration):
    dependencies = [("features", "0012_experiment_of_labels")]
    operations = [migrations.RunPython(_on_postgres(_FORWARD), _on_postgres(_BACK))]
