"""Who may ask, as it is configured: users, secrets and access tokens become one `Keys`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from structlog.typing import FilteringBoundLogger

from ferryman.auth.sources import Keys, KeySource, SharedSecrets, StaticKeys, StaticUsers
from ferryman.auth.third_party import ListedKeys, ThirdParty
from ferryman.config import Configuration, state_secret
from ferryman.config.values import ThirdPartyKeys
from ferryman.server.rereading import Rereading
from ferryman.store.oauth_keys import OauthKeys, StoreError

TOKEN_DATABASE_SECONDS = 5.0
"""How often the database of keys is looked at."""


def secrets_of(configuration: Configuration) -> tuple[str, ...]:
    if configuration.secret_in_state_folder:
        return (state_secret.read_or_make(configuration.state_dir).get_secret_value(),)
    return tuple(secret.get_secret_value() for secret in configuration.auth_secrets)


def all_names_are_known(configuration: Configuration) -> bool:
    """Whether every name can be looked up by its hash (RFC 8489 §14.4), so that clients may be
    told to send nothing else."""
    secrets = configuration.secret_in_state_folder or configuration.auth_secrets
    return not secrets and configuration.third_party is None


def token_database(configuration: Configuration, log: FilteringBoundLogger) -> OauthKeys | None:
    """Keys of access tokens from a database that has been read once; raises StoreError."""
    third_party = configuration.third_party
    if third_party is None or third_party.database is None:
        return None
    database = OauthKeys(third_party.database)
    for problem in database.read():
        log.warning(problem)
    log.info("userdb is read", oauth_keys=len(database))
    return database


def token_chore(
    database: Callable[[], OauthKeys | None], log: FilteringBoundLogger
) -> tuple[float, Callable[[], None]]:
    """Reads the database that counts again and again, while there is one."""

    def read() -> Sequence[str]:
        found = database()
        return () if found is None else found.read()

    return TOKEN_DATABASE_SECONDS, Rereading(read, StoreError, log)


def keys_of(
    configuration: Configuration, secrets: tuple[str, ...], database: OauthKeys | None
) -> Keys:
    realm = configuration.realm
    users: dict[str, StaticKeys] = {}
    for user in configuration.users:
        if user.key is not None:
            users[user.name] = StaticKeys(user.key.get_secret_value())
        elif user.password is not None:
            password = user.password.get_secret_value()
            users[user.name] = StaticKeys.of(user.name, realm, password)
    sources: list[KeySource] = [StaticUsers(users, realm)]
    if configuration.third_party is not None:
        # First, for a kid may be somebody's name as well.
        sources.insert(0, _third_party(configuration.third_party, database))
    if secrets:
        sources.append(SharedSecrets(secrets, realm, configuration.rest_separator))
    return Keys(sources)


def _third_party(configured: ThirdPartyKeys, database: OauthKeys | None) -> ThirdParty:
    """The keys of the file come before those of the database."""
    listed = ListedKeys(configured.keys)
    known = (listed,) if database is None else (listed, database)
    return ThirdParty(known, configured.server_name)
