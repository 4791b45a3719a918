from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "latentlens.accounts"
    label = "accounts"
    verbose_name = "Keys and sign-in"
    default_auto_field = "django.db.models.BigAutoField"
