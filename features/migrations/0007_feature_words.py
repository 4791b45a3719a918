import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("features", "0006_feature_map")]

    operations = [
        migrations.CreateModel(
            name="FeatureWords",
            fields=[
                (
                    "feature",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="words",
                        serialize=False,
                        to="features.feature",
                    ),
                ),
                ("tokens", models.TextField(blank=True, default="", help_text="Words of its top tokens.")),
                ("labels", models.TextField(blank=True, default="", help_text="Words of its labels and their notes.")),
                (
                    "exact_tokens",
                    models.TextField(
                        blank=True,
                        default="",
                        help_text="A word for each top and promoted token, whatever it holds.",
                    ),
                ),
            ],
            options={"verbose_name_plural": "feature words"},
        ),
        migrations.AddField(
            model_name="feature",
            name="token_share",
            field=models.FloatField(
                default=0.0,
                help_text="Share of its firings that are on its most frequent token; 0 for a dead feature.",
            ),
        ),
        migrations.AddIndex(
            model_name="feature",
            index=models.Index(fields=["experiment", "mean_activation", "id"], name="feature_by_mean_activation"),
        ),
        migrations.AddIndex(
            model_name="feature",
            index=models.Index(fields=["experiment", "token_share", "id"], name="feature_by_token_share"),
        ),
        migrations.AddIndex(
            model_name="feature",
            index=models.Index(fields=["experiment", "concept", "id"], name="feature_by_concept"),
        ),
        migrations.RemoveField(model_name="feature", name="token_search"),
    ]
