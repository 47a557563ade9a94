"""The one table of settings. A field of `Settings` is a row: its name, type, default and what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from neurolake.config.machine import cores, memory_bytes
from neurolake.config.values import Kind

__all__ = ["DIALECTS", "SETTINGS", "Setting", "SettingValues"]

T = TypeVar("T")

DIALECTS = ("duckdb", "bigquery", "postgres", "snowflake", "spark", "trino")
"""The SQL a session may write; all but the first are transpiled."""

_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table.

    Attributes:
        name: as in `neurolake.toml`; ends in the unit (`_s`, `_ms`, `_bytes…`) or in `_max` for a count.
        type: how text is read: flag, count, bytes, seconds, milliseconds, text or list.
        default: the value when nobody sets it.
        help: what it does, in one or two sentences.
        reload: `live` values are read at each use, `start` values when the lake opens.
        secret: never shown; may be a reference (`env:`, `file:`).
        per_session: a session may set its own.
        minimum: the least value, for a number.
        maximum: the greatest value, for a number.
        choices: the only values, for a text.
        default_text: the default in words, where it depends on the machine.
    """

    name: str
    type: Kind
    default: object
    help: str
    reload: Literal["start", "live"] = "start"
    secret: bool = False
    per_session: bool = False
    minimum: float = 0
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    default_text: str = ""

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"NEUROLAKE_{self.name.upper()}"

    @property
    def ceiling(self) -> bool:
        """Whether 0 means no limit, so that a session may lower it but not lift it."""
        return self.per_session and self.minimum == 0 and self.type not in ("flag", "text", "list")


def _row(default: T, does: str, **about: Any) -> T:
    """A dataclass field that is a row of the table; typed as its value so that mypy checks the default."""
    made: T = field(default=default, repr=not about.get("secret"), metadata={"help": does, **about})
    return made


def _computed(default: Callable[[], T], does: str, **about: Any) -> T:
    """A row whose default depends on the machine."""
    made: T = field(default_factory=default, metadata={"help": does, **about})
    return made


# No methods are made here: `Settings` makes them again, and each set takes milliseconds of import.
@dataclass(frozen=True, slots=True, kw_only=True, init=False, repr=False, eq=False)
class SettingValues:
    """The values of all settings, typed. `neurolake.config.Settings` adds what is done with them."""

    memory_bytes_max: int = _computed(
        lambda: memory_bytes() * 6 // 10,
        "Memory for queries. Beyond it they spill to the home's tmp folder, and fail when that is full too.",
        minimum=32 * _MIB,
        default_text="60 % of the machine's or container's memory",
    )
    threads: int = _computed(
        cores,
        "Threads that run queries.",
        minimum=1,
        maximum=1024,
        default_text="the cores this process may use",
    )
    temp_bytes_max: int = _row(
        0, "Disk space that queries may spill to. 0: nine tenths of the disk's free space, as DuckDB does."
    )

    statement_timeout_s: float = _row(
        3600.0, "A statement is stopped after this time. 0: never.", reload="live", per_session=True
    )
    result_rows_max: int = _row(0, "A result with more rows fails. 0: no limit.", reload="live", per_session=True)
    result_bytes_max: int = _row(
        0, "A result with more bytes of Arrow data fails. 0: no limit.", reload="live", per_session=True
    )
    concurrent_statements_max: int = _row(
        0,
        "Statements that run at once; others queue. As many again read remote files. 0: twice the threads, at least 4.",
        maximum=100_000,
    )
    jobs_max: int = _row(
        4, "Calls with wait => false that go on at once; one more is refused.", reload="live", minimum=0
    )
    queue_length_max: int = _row(1000, "Statements that may queue; one more is refused.", reload="live")
    queue_wait_s: float = _row(60.0, "A statement that queues longer is refused.", reload="live")
    home_buffer_bytes_max: int = _row(
        2 * _GIB,
        "At most this much of an unread result is set aside when a transaction's next statement comes.",
        reload="live",
    )
    home_buffer_memory_bytes_max: int = _row(
        64 * _MIB,
        "How much of such a result stays in memory; the rest goes to the tmp folder.",
        reload="live",
    )
    batch_bytes: int = _row(
        6 * _MIB, "Size that record batches sent to clients aim for.", minimum=64 * _KIB, maximum=_GIB
    )
    result_endpoints: int = _row(
        1,
        "Endpoints that a result without ORDER BY is offered through. With several its batches come in no order.",
        reload="live",
        per_session=True,
        minimum=1,
        maximum=64,
    )
    plan_cache_entries: int = _row(1000, "Plans kept for statements that come again. 0: none.")
    optimizer: bool = _row(True, "Whether optimiser rules may rewrite.", reload="live", per_session=True)
    optimizer_rules_off: tuple[str, ...] = _row(
        (), "Optimiser rules not to use, by the names EXPLAIN shows.", reload="live", per_session=True
    )
    dialect: str = _row(
        "duckdb",
        "The SQL that statements are written in; any but duckdb is translated.",
        reload="live",
        per_session=True,
        choices=DIALECTS,
    )
    default_schema: str = _row("main", "The schema of a table named without one.", reload="live", per_session=True)

    host: str = _row("127.0.0.1", "The address the server listens on.")
    port: int = _row(31337, "The Flight SQL port. 0: any that is free.", maximum=65535)
    http_port: int = _row(8080, "The port of /livez, /readyz, /metrics. 0: any that is free.", maximum=65535)
    tls_cert: str = _row("", "The server's certificate chain: a PEM file. Needs tls_key.")
    tls_key: str = _row("", "The certificate's private key: a PEM file.")
    tls_reload_s: float = _row(
        10.0, "How often certificate files are looked at; renewed ones are taken up without a restart. 0: never."
    )
    http_tls: bool = _row(True, "With tls_cert the HTTP port speaks TLS too. false: health and metrics in the clear.")
    mtls_port: int = _row(
        0, "A second Flight SQL port, for clients that prove who they are by a certificate. 0: none.", maximum=65535
    )
    mtls_ca: str = _row("", "The authorities whose client certificates mtls_port takes: a PEM file.")
    mtls_users: tuple[str, ...] = _row(
        (),
        "Which user a certificate's name stands for, as name=user. Empty: the user of that name.",
    )
    insecure_listen: bool = _row(
        False, "Listen beyond this machine without TLS: passwords and data cross the network in the clear."
    )
    admin_password: str = _row(
        "",
        "User admin's password, set at the first start. Empty: one is made and printed once.",
        secret=True,
    )
    login_failures_max: int = _row(
        20, "After so many failed logins in a row a user's name is locked for login_lock_s. 0: never."
    )
    login_lock_s: float = _row(900.0, "How long a name stays locked after too many failed logins.")
    token_life_s: float = _row(
        31_536_000.0, "A personal access token lasts at most this long.", minimum=60, reload="live"
    )
    owner_token_life_s: float = _row(
        3600.0, "How often the owner's token in run/server.json is made anew; the one before holds a minute longer.",
        minimum=1,
    )  # fmt: skip
    client_address_header: str = _row(
        "",
        "The header in which a proxy of yours names the client's address, such as x-real-ip. Empty: there is none.",
    )
    oidc_issuer: str = _row("", "The identity provider whose signed tokens (JWT) are taken: their claim iss.")
    oidc_audience: str = _row("", "Whom such tokens must be meant for: their claim aud.")
    oidc_jwks: str = _row("", "The provider's public keys (JWKS): a file, or an https URL.")
    oidc_jwks_refresh_s: float = _row(300.0, "How long fetched keys are used before they are fetched again.", minimum=1)
    oidc_tls_ca: str = _row("", "The authority of that URL's certificate: a PEM file. Empty: the system's.")
    oidc_algorithms: tuple[str, ...] = _row(("RS256",), "The algorithms that such tokens may be signed with.")
    oidc_leeway_s: float = _row(30.0, "How far the provider's clock may be off.", maximum=300)
    oidc_user_claim: str = _row("sub", "The claim that names the user.")
    oidc_role_claim: str = _row(
        "", "The claim with the user's groups or roles. Empty: the user must be known here, and has the roles it has."
    )
    oidc_roles: tuple[str, ...] = _row((), "Which role a value of oidc_role_claim stands for, as value=role.")
    oidc_attributes: tuple[str, ...] = _row(
        (), "Which attribute a claim of who is no user here becomes, as claim=attribute; no other claim does."
    )
    shutdown_grace_s: float = _row(10.0, "Time that running statements get to end when the server stops.")
    message_bytes_max: int = _row(
        16 * _MIB,
        "The largest request message, an uploaded batch aside.",
        minimum=64 * _KIB,
        maximum=2 * _GIB - 1,
    )
    upload_idle_s: float = _row(600.0, "An upload in which nothing comes for this long ends.", minimum=0.1)
    upload_batch_bytes_max: int = _row(
        256 * _MIB, "The largest batch a client may upload.", minimum=64 * _KIB, maximum=2 * _GIB - 1
    )

    sessions_max: int = _row(1000, "Sessions on the server; one more login is refused.", minimum=1, reload="live")
    sessions_per_user_max: int = _row(256, "Sessions of one user.", minimum=1, reload="live")
    session_idle_s: float = _row(3600.0, "A session that asks for nothing this long ends.", minimum=1)
    session_left_s: float = _row(
        30.0,
        "A session whose client's connection has gone ends after this long, unless the client is back; 0: it stays.",
    )
    tickets_per_session_max: int = _row(
        1000, "Results of a session that are planned and not fetched yet; the oldest goes.", minimum=1
    )
    ticket_life_s: float = _row(600.0, "A planned result not fetched in this time is dropped.", minimum=1)
    prepared_per_session_max: int = _row(1000, "Prepared statements a session may hold open.", minimum=1)

    allowed_locations: tuple[str, ...] = _row(
        (),
        "Folders and URL prefixes that data may be read from, such as /data and s3://bucket/prefix."
        " Empty: the owner may name any.",
    )
    storage_s3_driver: str = _row(
        "obstore",
        "What reads s3:// locations: obstore is fast; fsspec takes every option that s3fs has.",
        choices=("obstore", "fsspec"),
    )
    storage_connect_timeout_s: float = _row(
        5.0, "A storage server that does not accept a connection in this time has failed.", minimum=0.1
    )
    storage_request_timeout_s: float = _row(30.0, "A storage request takes at most this time.", minimum=0.1)
    storage_stall_timeout_s: float = _row(
        10.0, "A storage answer in which no byte arrives for this time has failed.", minimum=0.1
    )
    storage_retries: int = _row(
        5, "How often a failed storage request is tried again, with growing pauses.", maximum=100
    )
    storage_download_bytes_max: int = _row(
        _GIB, "The largest file fetched whole from a web server that gives no ranges."
    )

    snapshot_repositories: tuple[str, ...] = _row(
        (),
        "Where snapshots are kept; new ones go to each. Empty: the home's own folder `snapshots`.",
        reload="live",
    )
    snapshot_keys: tuple[str, ...] = _row(
        (),
        "Keys that snapshots are sealed with: env:NAME or file:/path. The first seals, any opens. Empty: not sealed.",
        reload="live",
        secret=True,
    )
    snapshot_keep_last: int = _row(7, "Prune keeps so many of the latest snapshots, and never none.", reload="live")
    snapshot_keep_hourly: int = _row(24, "Prune keeps the last snapshot of each of so many hours.", reload="live")
    snapshot_keep_daily: int = _row(14, "Prune keeps the last snapshot of each of so many days.", reload="live")
    snapshot_keep_weekly: int = _row(8, "Prune keeps the last snapshot of each of so many weeks.", reload="live")
    snapshot_keep_monthly: int = _row(12, "Prune keeps the last snapshot of each of so many months.", reload="live")
    snapshot_keep_yearly: int = _row(5, "Prune keeps the last snapshot of each of so many years.", reload="live")
    snapshot_keep_days_min: int = _row(0, "Prune keeps every snapshot younger than so many days.", reload="live")

    snapshot_threads: int = _row(
        0, "How many files of a snapshot are written at once. 0: as many as threads.", maximum=1024
    )
    snapshot_bytes_per_s_max: int = _row(
        0, "A snapshot brings at most so many bytes a second into its repositories, on average. 0: no limit."
    )
    snapshot_schedule: str = _row(
        "",
        "When a server takes a snapshot into every repository: a cron expression such as 15 * * * *. Empty: never.",
    )
    snapshot_prune: bool = _row(False, "Whether each scheduled snapshot is followed by a prune of its repositories.")
    snapshot_verify_schedule: str = _row(
        "", "When a server verifies the latest snapshot of every repository: a cron expression. Empty: never."
    )
    snapshot_verify_mode: str = _row(
        "files", "What a scheduled verify looks at, as `backup verify` does.", choices=("quick", "files", "full")
    )
    snapshot_drill_schedule: str = _row(
        "",
        "When a server restores the latest snapshot of every repository into a scratch lake and tries it: a cron"
        " expression. Empty: never.",
    )
    snapshot_drill_bytes_max: int = _row(
        0,
        "A drill restores tables of at most so many bytes of Parquet, chosen by chance. 0: everything.",
        reload="live",
    )
    snapshot_drill_checks: tuple[str, ...] = _row(
        (), "Queries that a drill of everything runs in the restored lake; each must answer true.", reload="live"
    )
    snapshot_schedule_zone: str = _row(
        "UTC", "The time zone that schedules are written in, such as Europe/Berlin: a name of the IANA database."
    )
    snapshot_run_timeout_s: float = _row(
        86_400.0, "A scheduled run is stopped after this time, so that the next may begin. 0: never."
    )
    snapshot_runs_max: int = _row(
        1000, "Runs kept in neurolake.backup_runs; of each kind in each repository the last success stays.", minimum=10
    )

    notify_on: str = _row(
        "change",
        "Which runs of backup jobs are told by webhook and e-mail, where those are set. change: a failure that is the"
        " first or follows a success, and a success that follows a failure.",
        choices=("change", "failure", "success", "always"),
    )
    notify_name: str = _row("", "What this lake is called in messages. Empty: the name of its folder.")
    notify_webhook_url: str = _row("", "Where messages are posted as JSON. Empty: nowhere.", secret=True)
    notify_webhook_key: str = _row(
        "", "What posted messages are signed with (HMAC-SHA256). Empty: they are not.", secret=True
    )
    notify_email_to: tuple[str, ...] = _row((), "Who gets messages by e-mail.")
    notify_email_from: str = _row("", "Whom such e-mail comes from. Empty: its first recipient.")
    notify_smtp_host: str = _row("localhost", "The server that e-mail is handed to.")
    notify_smtp_port: int = _row(587, "That server's port.", minimum=1, maximum=65535)
    notify_smtp_security: str = _row(
        "starttls",
        "How that connection is protected. A server that does not offer it is not used.",
        choices=("starttls", "tls", "none"),
    )
    notify_smtp_user: str = _row("", "The user to log in there as; never without TLS. Empty: no login.")
    notify_smtp_password: str = _row("", "That user's password.", secret=True)
    notify_tls_ca: str = _row(
        "", "The authority that webhook and e-mail servers are checked against: a PEM file. Empty: the system's."
    )
    notify_timeout_s: float = _row(10.0, "One attempt to deliver a message takes at most this time.", minimum=0.1)
    notify_attempts_max: int = _row(
        3, "How often the delivery of a message is tried, with growing pauses.", minimum=1, maximum=10
    )

    pii_scan: str = _row(
        "off",
        "When tables are scanned for personal data. made: as part of registering, making or loading them. background:"
        " soon after, one at a time, all rows of text. off: when somebody calls scan_pii.",
        reload="live",
        choices=("off", "made", "background"),
    )
    pii_rescan_s: float = _row(
        60.0,
        "How long after a write into a table that was scanned it is scanned again in the background, where pii_scan is"
        " not off. 0: never.",
        reload="live",
    )
    pii_files_s: float = _row(
        600.0,
        "How often the files of scanned sources are listed, so that new ones are scanned in the background, where"
        " pii_scan is not off. 0: never.",
        reload="live",
    )
    pii_literals: str = _row(
        "redact",
        "Personal data written into statements. off: kept as it stands. redact: hidden in history and wherever a"
        " statement is shown. warn: that, and it is said, and kept in the audit log. refuse: such a statement is"
        " refused; values belong in parameters. A policy on literal:… counts before it.",
        reload="live",
        choices=("off", "redact", "warn", "refuse"),
    )
    pii_results: str = _row(
        "off",
        "Personal data that only the rows of a result show. warn: said, and kept in the audit log. redact: taken out of"
        " the cells. block: the result ends. A policy on result:… counts before it.",
        reload="live",
        choices=("off", "warn", "redact", "block"),
    )
    pii_results_admins: bool = _row(
        False, "Check the results of administrators, too, as pii_results says.", reload="live"
    )
    pii_recognisers: str = _row(
        "",
        "A file of recognisers of your own for scan_pii. Empty: recognisers.toml in the home folder, if it is there.",
        reload="live",
    )

    pii_ner: str = _row(
        "",
        "A folder with a spaCy pipeline of your own, whose people and addresses are one more kind of evidence for"
        " scan_pii, and are hidden by redact_deep. Empty: none is used.",
        reload="live",
    )
    pii_ner_required: bool = _row(
        True,
        "Whether a scan fails where that pipeline cannot be loaded. false: it goes on without, and the log says so.",
        reload="live",
    )

    history_rows_max: int = _row(
        100_000, "Statements kept in neurolake.queries; the oldest go first. 0: none.", reload="live"
    )
    history_fsync_ms: float = _row(
        200.0,
        "How often history and the audit of reads reach the disk: what a power cut may lose.",
        minimum=1,
    )
    audit_synchronous: bool = _row(
        False,
        "Force the audit of reads to disk before each statement's end is answered: slower.",
    )
    audit_keep_days: int = _row(
        0, "Cut off what the audit log holds from longer ago; what is cut is checked first. 0: keep everything."
    )

    log_level: str = _row(
        "info", "The least severe message that is logged.", choices=("debug", "info", "warning", "error")
    )
    log_format: str = _row("text", "How the log is written: for people or for programs.", choices=("text", "json"))

    storage: Mapping[str, Mapping[str, str]] = field(
        default_factory=lambda: MappingProxyType({}), repr=False, hash=False
    )
    """The `[storage."s3://bucket/prefix"]` tables as they stand, values as text, references unresolved."""


def _kind(name: str, annotation: object) -> Kind:
    if annotation == "bool":
        return "flag"
    if annotation == "tuple[str, ...]":
        return "list"
    if annotation == "str":
        return "text"
    if annotation == "float":
        return "milliseconds" if name.endswith("_ms") else "seconds"
    return "bytes" if "bytes" in name.split("_") else "count"


def _settings() -> tuple[Setting, ...]:
    rows = []
    for row in fields(SettingValues):
        if "help" in row.metadata:
            default = row.default if row.default is not MISSING else None
            if row.default_factory is not MISSING:
                default = row.default_factory()
            rows.append(Setting(name=row.name, type=_kind(row.name, row.type), default=default, **row.metadata))
    return tuple(rows)


SETTINGS: tuple[Setting, ...] = _settings()
