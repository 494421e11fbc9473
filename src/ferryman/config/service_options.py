"""Rows for who and what is let in, and for running the server: credentials, peers, log, process."""

from __future__ import annotations

from ferryman.config.kinds import (
    COUNT,
    FILE,
    FOLDER,
    OAUTH_KEY,
    PEERS,
    PORT,
    REALM,
    SECRET,
    SEPARATOR,
    SWITCH,
    TEXT,
    USER,
    choice,
    seconds,
)
from ferryman.config.machine_kinds import FACILITY, PROCESS_GROUP, PROCESS_USER
from ferryman.config.option import WITHOUT_EFFECT, Option, Section, declined, ignored, not_built

_NO_DATABASE = "credentials come from this file and the flags"
_NO_CLI = "there is no command port: a password over plain TCP is no lock"
_FLAG = "a flag of the command line, without effect in a file"
_NO_WEB = "there is no web administration"
_NO_METRICS = "metrics are not exported"

_C = Section.CREDENTIALS
CREDENTIAL_OPTIONS = (
    Option(
        "user",
        USER,
        _C,
        "a user; name:0xKEY for an MD5 key of 32 hexadecimal digits",
        short="u",
        repeatable=True,
        secret=True,
    ),
    Option(
        "static-auth-secret",
        SECRET,
        _C,
        "secret of time-limited credentials; all given are in force",
        repeatable=True,
        secret=True,
    ),
    # Marked as secret, for by a slip of the pen they get the secret itself.
    Option("use-auth-secret", SWITCH, _C, "time-limited credentials", "no", secret=True),
    Option(
        "lt-cred-mech",
        SWITCH,
        _C,
        "long-term credentials; always so",
        "yes",
        short="a",
        secret=True,
    ),
    Option("no-auth", SWITCH, _C, "anyone may relay", "no", short="z"),
    Option("realm", REALM, _C, "realm; default: the host's domain, else ferryman", short="r"),
    Option("oauth", SWITCH, _C, "third-party authorization (RFC 7635)", "no"),
    Option(
        "oauth-key",
        OAUTH_KEY,
        _C,
        "key of access tokens, shared with an authorization server",
        repeatable=True,
        secret=True,
    ),
    Option(
        "server-name",
        REALM,
        _C,
        "name of this server in access tokens; default: the realm",
    ),
    Option("rest-api-separator", SEPARATOR, _C, "between timestamp and user name", ":", short="C"),
    Option(
        "stale-nonce", seconds(0, bare=600), _C, "seconds that a nonce is good; 0: for ever", "600"
    ),
    ignored("stateless-nonce", SWITCH, _C, "nonces that leave nothing behind"),
    Option(
        "stateless-nonce-secret",
        SECRET,
        _C,
        "secret of all servers that take each other's nonces; a long random text",
        secret=True,
    ),
    ignored("no-auth-pings", SWITCH, _C, "do not ask the database for secrets"),
    ignored("no-dynamic-ip-list", SWITCH, _C, "do not ask the database for peer rules"),
    ignored("no-dynamic-realms", SWITCH, _C, "do not ask the database for realms"),
)

_P = Section.PEERS
PEER_OPTIONS = (
    Option(
        "peer-policy",
        choice("public", "coturn"),
        _P,
        "public: public addresses only; coturn: all that is not denied (default with a file)",
    ),
    Option(
        "allowed-peer-ip",
        PEERS,
        _P,
        "address, network, first-last or host; wins over denied-peer-ip",
        repeatable=True,
    ),
    Option(
        "denied-peer-ip",
        PEERS,
        _P,
        "address, network, first-last or host",
        repeatable=True,
    ),
    Option("no-multicast-peers", SWITCH, _P, "no multicast, reserved or broadcast peer", "no"),
    Option("allow-loopback-peers", SWITCH, _P, "peers on this machine; for tests", "no"),
    ignored("no-loopback-peers", SWITCH, _P, "no loopback peer (unless allow-loopback-peers)"),
)

_L = Section.LOG
LOG_OPTIONS = (
    Option("verbose", SWITCH, _L, "log more", "no", short="v"),
    Option("Verbose", SWITCH, _L, "the same as verbose", "no", short="V"),
    Option(
        "log-min-level",
        choice("debug", "info", "warning", "error"),
        _L,
        "lowest level that is logged; default: info, debug with verbose",
    ),
    Option(
        "log-format",
        choice("text", "json", "coturn"),
        _L,
        "readable lines, JSON, or the lines that fail2ban and billing know from coturn",
        "text",
    ),
    Option(
        "log-file",
        FILE,
        _L,
        "file of the log, beside stderr; stdout or - for stdout, syslog for syslog",
        short="l",
    ),
    Option("simple-log", SWITCH, _L, "no date in the file's name, and no new file every day", "no"),
    Option(
        "no-stdout-log",
        SWITCH,
        _L,
        "nothing on stderr; by default to syslog then, as with daemon",
        "no",
    ),
    Option("syslog", SWITCH, _L, "log to syslog", "no"),
    Option("syslog-facility", FACILITY, _L, "facility of syslog", "LOG_DAEMON"),
    Option("new-log-timestamp", SWITCH, _L, "no: seconds since the start instead of a time", "yes"),
    Option(
        "new-log-timestamp-format",
        TEXT,
        _L,
        "strftime's form of the local time, %f for milliseconds; default: ISO 8601 in UTC, "
        "with log-format=coturn %FT%T.%f%z",
    ),
    Option(
        "log-binding",
        SWITCH,
        _L,
        "a line for each Binding that is answered, at most 50 a second for each worker",
        "no",
    ),
)

_S = Section.SERVICE
SERVICE_OPTIONS = (
    Option(
        "state-dir",
        FOLDER,
        _S,
        "folder for the secret made on first start; default: $STATE_DIRECTORY, "
        "$XDG_STATE_HOME/ferryman, ~/.local/state/ferryman",
    ),
    Option("daemon", SWITCH, _S, "go into the background", "no", short="o"),
    Option(
        "pidfile",
        FILE,
        _S,
        "file with the process id; default: none, as a daemon /var/run/turnserver.pid",
    ),
    ignored("version", SWITCH, _S, "print the version and end", _FLAG),
    ignored("help", SWITCH, _S, "print how it is used and end", _FLAG),
    Option("proc-user", PROCESS_USER, _S, "user to become once all ports are open"),
    Option("proc-group", PROCESS_GROUP, _S, "group to become; default: that of proc-user"),
)

_D = Section.DATABASES
DATABASE_OPTIONS = (
    Option("userdb", FILE, _D, "SQLite file; read for oauth_key only", short="b", secret=True),
    Option("db", FILE, _D, "the same as userdb", secret=True),
    *(
        not_built(name, TEXT, _D, meaning, _NO_DATABASE, short=short, secret=True)
        for name, short, meaning in (
            ("psql-userdb", "e", "PostgreSQL connection"),
            ("sql-userdb", "", "the same as psql-userdb"),
            ("mysql-userdb", "M", "MySQL connection"),
            ("mongo-userdb", "J", "MongoDB connection"),
            ("redis-userdb", "N", "Redis connection"),
            ("redis-statsdb", "O", "Redis connection for statistics"),
            ("secret-key-file", "", "key of encrypted passwords"),
        )
    ),
)

_A = Section.ADMINISTRATION
ADMINISTRATION_OPTIONS = (
    declined("cli", SWITCH, _A, "command port", _NO_CLI),
    declined("cli-ip", TEXT, _A, "its address", _NO_CLI),
    declined("cli-port", PORT, _A, "its port", _NO_CLI),
    declined("cli-password", TEXT, _A, "its password", _NO_CLI, secret=True),
    declined("cli-max-output-sessions", COUNT, _A, "how much it prints", _NO_CLI),
    ignored("no-cli", SWITCH, _A, "no command port"),
    not_built("web-admin", SWITCH, _A, "web administration", _NO_WEB),
    not_built("web-admin-ip", TEXT, _A, "its address", _NO_WEB),
    not_built("web-admin-port", PORT, _A, "its port", _NO_WEB),
    not_built("web-admin-listen-on-workers", SWITCH, _A, "on TURN ports as well", _NO_WEB),
    not_built("prometheus", SWITCH, _A, "metrics over HTTP", _NO_METRICS),
    not_built("prometheus-port", PORT, _A, "their port", _NO_METRICS),
    not_built("prometheus-address", TEXT, _A, "their address", _NO_METRICS),
    not_built("prometheus-path", TEXT, _A, "their path", _NO_METRICS),
    not_built("prometheus-username-labels", SWITCH, _A, "user names in them", _NO_METRICS),
    not_built("prometheus-tls", SWITCH, _A, "over HTTPS", _NO_METRICS),
    not_built("prometheus-cert", FILE, _A, "certificate for that", _NO_METRICS),
    not_built("prometheus-key", FILE, _A, "private key for that", _NO_METRICS),
)

_G = Section.REMOVED
REMOVED_OPTIONS = (
    ignored("no-tlsv1", SWITCH, _G, "no TLS 1.0"),
    ignored("no-tlsv1_1", SWITCH, _G, "no TLS 1.1"),
    ignored("no-sslv2", SWITCH, _G, "no SSL 2"),
    ignored("no-sslv3", SWITCH, _G, "no SSL 3"),
    ignored("no-stun-backward-compatibility", SWITCH, _G, "no MAPPED-ADDRESS"),
    ignored("dh2066", SWITCH, _G, "parameters of 2066 bits", WITHOUT_EFFECT),
    ignored("prod", SWITCH, _G, "hide the version", WITHOUT_EFFECT),
    ignored("ne", COUNT, _G, "network engine", WITHOUT_EFFECT),
    ignored("secret-ts-exp-time", COUNT, _G, "lifetime of a timestamp", WITHOUT_EFFECT),
    *(
        declined(name, TEXT, _G, "never was a key", f"without effect: {meant} is meant")
        for name, meant in (
            ("listen-ip", "listening-ip"),
            ("dtls-listening-port", "tls-listening-port"),
            ("web-port", "web-admin-port"),
        )
    ),
)
