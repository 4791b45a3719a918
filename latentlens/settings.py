"""Settings of Latent Lens: the only place where environment variables are read.

Each variable is listed, in this order, in `.env.example` and explained in `docs/settings.md`.
A bad value does not raise here: it is collected in `SETTING_PROBLEMS`, replaced by its default,
and reported by `manage.py check` with a number and a hint (`latentlens/checks.py`).
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from latentlens.lib.channel_layers import channel_layers
from latentlens.lib.environment import EnvironmentReader
from latentlens.lib.logs import logging_configuration

BASE_DIR = Path(__file__).resolve().parent.parent
ENV_FILE = Path(os.environ.get("ENV_FILE") or BASE_DIR / ".env")
_environment = EnvironmentReader(ENV_FILE, BASE_DIR)

# --- Where things live ------------------------------------------------------------------------------------------------
DATA_DIR = _environment.path("DATA_DIR", default=BASE_DIR / "var")
MODELS_DIR = _environment.path("MODELS_DIR", default=DATA_DIR / "models")
IMPORTS_DIR = _environment.path("IMPORTS_DIR", default=DATA_DIR / "imports")
HF_CACHE_DIR = _environment.path("HF_CACHE_DIR", default=DATA_DIR / "huggingface")
ARTIFACTS_DIR = DATA_DIR / "artifacts"
UPLOADS_DIR = DATA_DIR / "uploads"
LABEL_IMPORTS_DIR = DATA_DIR / "label-imports"
LOGS_DIR = DATA_DIR / "logs"
SECRETS_DIR = DATA_DIR / "secrets"

# --- The web process --------------------------------------------------------------------------------------------------
BIND_ADDRESS = _environment.text("BIND_ADDRESS", default="127.0.0.1")
PORT = _environment.integer("PORT", default=8000, minimum=0, maximum=65535)
DEBUG = _environment.boolean("DEBUG", default=False)
LOG_LEVEL = _environment.choice("LOG_LEVEL", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
ALLOWED_HOSTS = [*_environment.texts("ALLOWED_HOSTS", default=[]), "localhost", "127.0.0.1", "[::1]"]
ALLOWED_ORIGINS = _environment.origins("ALLOWED_ORIGINS", default=[])
SECRET_KEY = _environment.secret("SECRET_KEY", file=SECRETS_DIR / "secret_key")
API_KEY = _environment.secret("API_KEY", file=SECRETS_DIR / "api_key", prefix="ll-")

# --- Scaling out ------------------------------------------------------------------------------------------------------
DATABASES = {"default": _environment.database("DATABASE_URL", sqlite_file=DATA_DIR / "latentlens.sqlite3")}
REDIS_URL = _environment.redis_url("REDIS_URL")

# --- Experiments ------------------------------------------------------------------------------------------------------
DEFAULT_MODEL_NAME = _environment.text("DEFAULT_MODEL_NAME", default="builtin")
DEVICE = _environment.choice("DEVICE", default="auto", choices=("auto", "cpu", "cuda", "mps"))
SAE_HIDDEN_DIM = _environment.integer("SAE_HIDDEN_DIM", default=4096, minimum=2, maximum=1_048_576)
SPARSITY_COEFFICIENT = _environment.number("SPARSITY_COEFFICIENT", default=0.1, minimum=0.0, maximum=1000.0)
MAX_FEATURES = _environment.integer("MAX_FEATURES", default=0, minimum=0, maximum=1_048_576)
CACHE_QUOTA_GB = _environment.number("CACHE_QUOTA_GB", default=20.0, minimum=0.0, maximum=1_000_000.0)
EXPLAINER_URL = _environment.text("EXPLAINER_URL", default="")
EXPLAINER_MODEL = _environment.text("EXPLAINER_MODEL", default="")
EXPLAINER_API_KEY = _environment.text("EXPLAINER_API_KEY", default="")
EXPLAINER_TIMEOUT = _environment.integer("EXPLAINER_TIMEOUT", default=60, minimum=1, maximum=3600)
TRAINING_NICENESS = _environment.integer("TRAINING_NICENESS", default=10, minimum=0, maximum=19)
IMPORTS_AHEAD = _environment.boolean("IMPORTS_AHEAD", default=True)

SETTING_PROBLEMS = _environment.problems

# transformers, datasets and huggingface_hub read these when a worker imports them.
os.environ.setdefault("HF_HOME", str(HF_CACHE_DIR))
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
# As does torch: its threads sleep instead of spinning where they wait for each other, because a processor that is
# shared is then not there for the one that is waited for; and tensors lie on huge pages.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

# --- Django -----------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "channels",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "ninja",
    "csp",
    "corsheaders",
    "latentlens",
    "latentlens.broker",
    "latentlens.accounts",
    "experiments",
    "features",
    "lens",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "csp.middleware.CSPMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "latentlens.accounts.middleware.SignInRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "latentlens.urls"
ASGI_APPLICATION = "latentlens.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
LOGIN_URL = "accounts:sign-in"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "accounts:sign-in"

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    # Not the compressing one: it adds seconds to the first start, and a proxy compresses better.
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}
MEDIA_ROOT = UPLOADS_DIR
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 2**20
APPEND_SLASH = True
LOGGING = logging_configuration(LOG_LEVEL)

# --- Browsers ---------------------------------------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}
# Browsers share cookies between the ports of one host; the name keeps two installations on one machine apart.
_installation = hashlib.sha256(SECRET_KEY.encode()).hexdigest()[:8]
_is_https = bool(ALLOWED_ORIGINS) and all(origin.startswith("https://") for origin in ALLOWED_ORIGINS)
SESSION_COOKIE_NAME = f"latentlens_session_{_installation}"
SESSION_COOKIE_SECURE = _is_https
SESSION_COOKIE_AGE = 30 * 24 * 3600
CSRF_COOKIE_NAME = f"latentlens_csrf_{_installation}"
CSRF_COOKIE_SECURE = _is_https
CSRF_TRUSTED_ORIGINS = ALLOWED_ORIGINS
CSRF_FAILURE_VIEW = "latentlens.error_pages.csrf_failed"
CORS_ALLOWED_ORIGINS = ALLOWED_ORIGINS
CORS_URLS_REGEX = r"^/(api/|openapi\.json$)"
CORS_ALLOW_HEADERS = ("accept", "content-type", "x-api-key")
CORS_EXPOSE_HEADERS = ("location",)
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# --- Channels and Celery ----------------------------------------------------------------------------------------------
CHANNEL_LAYERS = channel_layers(REDIS_URL)
CELERY_BROKER_URL = REDIS_URL or "orm://localhost"
# The lease in a row is what brings back lost work; a broker that redelivers on its own would start a second copy.
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 7 * 24 * 3600} if REDIS_URL else {}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_DEFAULT_QUEUE = "experiments"
CELERY_TASK_ROUTES = {
    "experiments.describe_model": {"queue": "lens"},
    "experiments.preview_tokens": {"queue": "lens"},
    "experiments.*": {"queue": "experiments"},
    "features.transfer_labels": {"queue": "lens"},
    "features.*": {"queue": "features"},
    "lens.*": {"queue": "lens"},
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_TASKS_PER_CHILD = 1
# A child says that it is up while it imports torch, which may hold the interpreter for longer than the usual 4 s.
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 60.0
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_TIMEZONE = TIME_ZONE
