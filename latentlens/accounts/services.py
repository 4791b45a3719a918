"""Who may come in: the owner of this installation, API keys, one-time sign-in links."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db.models import Q
from django.utils import timezone

from latentlens.accounts.models import ApiKey, SignInLink

OWNER_NAME = "owner"
LINK_LIFETIME = timedelta(minutes=15)
_USE_IS_NOTED_EVERY = timedelta(minutes=1)


def installation_owner() -> User:
    """The local superuser. It has no usable password until somebody sets one (`manage.py changepassword owner`)."""
    owner, is_new = get_user_model().objects.get_or_create(
        username=OWNER_NAME, defaults={"is_staff": True, "is_superuser": True}
    )
    if is_new:
        owner.set_unusable_password()
        owner.save(update_fields=["password"])
    return owner


def create_api_key(user: User, name: str) -> str:
    """A new key for `user`. It is returned once and never stored."""
    row = ApiKey(user=user, name=name)
    key = new_api_key(row)
    row.save()
    return key


def new_api_key(row: ApiKey) -> str:
    """Gives the unsaved `row` the hash and the prefix of a new key, which is returned."""
    key = f"ll-{secrets.token_urlsafe(32)}"
    row.prefix = key[:9]
    row.sha256 = _sha256(key)
    return key


def user_of_api_key(key: str) -> tuple[User, ApiKey | None] | None:
    """Whose key this is, and which: the installation's own key (setting API_KEY) has no row and is the owner's."""
    if hmac.compare_digest(key.encode("utf-8", "replace"), settings.API_KEY.encode()):
        return installation_owner(), None
    # Looking up a hash leaks nothing useful through timing: the caller cannot choose its digits.
    known = ApiKey.objects.select_related("user").filter(sha256=_sha256(key), user__is_active=True).first()
    if known is None:
        return None
    _note_use(known)
    return known.user, known


def _note_use(key: ApiKey) -> None:
    """Once a minute: on SQLite a statement that may write waits for all who write, also where it changes nothing."""
    now = timezone.now()
    if key.last_used_at is None or key.last_used_at < now - _USE_IS_NOTED_EVERY:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)


def new_sign_in_token(user: User) -> str:
    """The secret part of a new link for `user`; links that were made before, and not used, end here."""
    SignInLink.objects.filter(Q(user=user) | Q(expires_at__lt=timezone.now())).delete()
    token = secrets.token_urlsafe(24)
    SignInLink.objects.create(user=user, sha256=_sha256(token), expires_at=timezone.now() + LINK_LIFETIME)
    return token


def redeem_sign_in_token(token: str) -> User | None:
    """The link's user, once: the row is deleted before anybody is let in, so of two visitors one loses."""
    link = (
        SignInLink.objects.select_related("user")
        .filter(sha256=_sha256(token), expires_at__gt=timezone.now(), user__is_active=True)
        .first()
    )
    if link is None or not SignInLink.objects.filter(pk=link.pk).delete()[0]:
        return None
    return link.user


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
