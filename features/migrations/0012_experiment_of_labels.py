"""A label knows its feature's experiment, so that an index holds the current labels of one in order."""

from __future__ import annotations

from typing import Any

import django.db.models.deletion
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.models.functions import Lower

CURRENT = models.Q(is_current=True)


def fill(apps: Apps, schema_editor: Any) -> None:
    labels, features = (apps.get_model("features", name)._default_manager for name in ("Label", "Feature"))
    of_feature = features.filter(pk=models.OuterRef("feature")).order_by().values("experiment")
    labels.update(experiment=models.Subquery(of_feature))


class Migration(migrations.Migration):
    dependencies = [
        ("experiments", "0004_resources"),
        ("features", "0011_agreement_with_planted_concepts"),
    ]

    operations = [
        migrations.AddField(
            model_name="label",
            name="experiment",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="labels",
                to="experiments.experiment",
            ),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AlterField(
            model_name="label",
            name="experiment",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="labels", to="experiments.experiment"
            ),
        ),
        migrations.AddIndex(
            model_name="label",
            index=models.Index(
                "experiment",
                "confidence",
                "feature",
                "is_current",
                condition=CURRENT,
                name="current_label_by_confidence",
            ),
        ),
        migrations.AddIndex(
            model_name="label",
            index=models.Index("experiment", "score", "feature", condition=CURRENT, name="current_label_by_score"),
        ),
        migrations.AddIndex(
            model_name="label",
            index=models.Index("experiment", Lower("text"), "feature", condition=CURRENT, name="current_label_by_text"),
        ),
    ]
