"""`manage.py sign_in_link`: a fresh one-time link."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from latentlens.accounts.services import installation_owner, new_sign_in_token
from latentlens.lib.site_address import site_address


class Command(BaseCommand):
    help = "Print a link that signs a user in, once, within 15 minutes. Earlier links end."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", nargs="?", help="the owner of the installation, if not given")

    def handle(self, *args: Any, username: str | None, **options: Any) -> None:
        user = User.objects.filter(username=username).first() if username else installation_owner()
        if user is None:
            raise CommandError(f"There is no user {username!r}: create one in the admin.")
        self.stdout.write(f"{site_address()}/sign-in/{new_sign_in_token(user)}/")
