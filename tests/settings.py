"""The product's settings over a fresh folder: tests never read a person's `.env` nor touch a person's data."""

import atexit
import os
import shutil
import tempfile

DATA_DIR_FOR_TESTS = tempfile.mkdtemp(prefix="latentlens-tests-")
atexit.register(shutil.rmtree, DATA_DIR_FOR_TESTS, ignore_errors=True)
for name in ("API_KEY", "SECRET_KEY", "MODELS_DIR", "HF_CACHE_DIR", "DEBUG", "ALLOWED_HOSTS", "ALLOWED_ORIGINS"):
    os.environ.pop(name, None)
os.environ |= {"DATA_DIR": DATA_DIR_FOR_TESTS, "ENV_FILE": os.devnull, "LOG_LEVEL": "WARNING", "DEVICE": "cpu"}

# Each process of pytest-xdist has a Redis database of its own, as it has an SQL database of its own.
if os.environ.get("REDIS_URL"):
    host, _, number = os.environ["REDIS_URL"].rpartition("/")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    os.environ["REDIS_URL"] = f"{host}/{int(number) + int(worker)}"

from latentlens.settings import *  # noqa: E402, F403

ALLOWED_HOSTS = [*ALLOWED_HOSTS, "testserver"]  # noqa: F405
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # noqa: F405
TRAINING_NICENESS = 0  # commands that train step back, and what pytest gives up it cannot take back
STATIC_ROOT.mkdir()  # noqa: F405 - otherwise collected before the web process starts
