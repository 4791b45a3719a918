"""The full-text indexes of `FeatureWords`, in the database's own way.

On SQLite its triggers go when a later migration rebuilds that table: such a migration has to make them again.
"""

from django.db import migrations

_SQLITE = [
    """
    CREATE VIRTUAL TABLE features_words_fts USING fts5(
        tokens, labels, exact_tokens, content='features_featurewords', content_rowid='feature_id',
        tokenize='unicode61', prefix='2 3'
    )
    """,
    """
    CREATE TRIGGER features_words_added AFTER INSERT ON features_featurewords BEGIN
        INSERT INTO features_words_fts(rowid, tokens, labels, exact_tokens)
        VALUES (new.feature_id, new.tokens, new.labels, new.exact_tokens);
    END
    """,
    """
    CREATE TRIGGER features_words_gone AFTER DELETE ON features_featurewords BEGIN
        INSERT INTO features_words_fts(features_words_fts, rowid, tokens, labels, exact_tokens)
        VALUES ('delete', old.feature_id, old.tokens, old.labels, old.exact_tokens);
    END
    """,
    """
    CREATE TRIGGER features_words_changed AFTER UPDATE ON features_featurewords
    WHEN old.tokens <> new.tokens OR old.labels <> new.labels OR old.exact_tokens <> new.exact_tokens BEGIN
        INSERT INTO features_words_fts(features_words_fts, rowid, tokens, labels, exact_tokens)
        VALUES ('delete', old.feature_id, old.tokens, old.labels, old.exact_tokens);
        INSERT INTO features_words_fts(rowid, tokens, labels, exact_tokens)
        VALUES (new.feature_id, new.tokens, new.labels, new.exact_tokens);
    END
    """,
]
_POSTGRES = [
    """
    CREATE INDEX features_words_fts ON features_featurewords
    USING gin (to_tsvector('simple', tokens || chr(32) || labels))
    """,
    """
    CREATE INDEX features_exact_tokens_fts ON features_featurewords
    USING gin (to_tsvector('simple', exact_tokens))
    """,
]
_BACK = {
    "sqlite": [
        "DROP TRIGGER features_words_added",
        "DROP TRIGGER features_words_gone",
        "DROP TRIGGER features_words_changed",
        "DROP TABLE features_words_fts",
    ],
    "postgresql": ["DROP INDEX features_words_fts", "DROP INDEX features_exact_tokens_fts"],
}


def make_indexes(apps, schema_editor):
    for statement in {"sqlite": _SQLITE, "postgresql": _POSTGRES}[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


def drop_indexes(apps, schema_editor):
    for statement in _BACK[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("features", "0007_feature_words")]
    operations = [migrations.RunPython(make_indexes, drop_indexes)]
