from django.apps import AppConfig


class BrokerConfig(AppConfig):
    name = "latentlens.broker"
    label = "broker"
    verbose_name = "Broker"
    default_auto_field = "django.db.models.BigAutoField"
