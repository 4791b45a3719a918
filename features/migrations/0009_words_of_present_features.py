"""Features that are there already are found by search too, and know the share of their most frequent token."""

from collections import defaultdict

from django.db import migrations

from features.search_words import distinct_words, exact_tokens

ROWS_AT_ONCE = 500


def fill(apps, schema_editor):
    Feature = apps.get_model("features", "Feature")
    Label = apps.get_model("features", "Label")
    FeatureWords = apps.get_model("features", "FeatureWords")
    last = 0
    while rows := list(Feature.objects.filter(pk__gt=last).order_by("pk").only("summary")[:ROWS_AT_ONCE]):
        last = rows[-1].pk
        said = defaultdict(list)
        labels = Label.objects.filter(feature__in=rows, withdrawn_at=None)
        for feature_id, text, note in labels.values_list("feature", "text", "note"):
            said[feature_id] += [text, note]
        words = []
        for row in rows:
            top = row.summary["top_tokens"]
            row.token_share = top[0]["share"] if top else 0.0
            texts = [token["text"] for token in top]
            promoted = [token["text"] for token in row.summary["promoted"]]
            words.append(
                FeatureWords(
                    feature_id=row.pk,
                    tokens=distinct_words(*texts),
                    labels=distinct_words(*said[row.pk]),
                    exact_tokens=exact_tokens(texts, promoted),
                )
            )
        Feature.objects.bulk_update(rows, ["token_share"], batch_size=ROWS_AT_ONCE)
        FeatureWords.objects.bulk_create(words)


class Migration(migrations.Migration):
    dependencies = [("features", "0008_full_text_search")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
