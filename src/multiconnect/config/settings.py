"""What `up` and `node` run with: one frozen value, its relations checked before anything starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

from multiconnect.config.options import AUTO, BY_NAME, Value
from multiconnect.config.sources import Resolved
from multiconnect.errors import InvalidSettings
from multiconnect.limits import CHILDREN_PER_ROLE_MAX, NUMBER_RATE_PER_S
from multiconnect.model.lane_address import listening_place
from multiconnect.model.lane_credentials import REMEDY, LaneCredentials
from multiconnect.model.timers import Timers, timers_of

STORE_FILE: Final = "multiconnect.db"
_SQLITE: Final = "sqlite:///"


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """The settings of one supervisor; see config/options.py for what each is for."""

    store: str
    data_dir: Path
    shards: int
    spares: int
    coreapps: int
    masters: int
    webs: int
    http: str
    tls_cert: str
    tls_key: str
    #: "simulator", "null", a base URL; "" takes what the store says (`node`).
    upstream: str
    upstream_phone_number_id: str
    upstream_version: str
    upstream_token: str = field(repr=False)
    number_rate: float | str | None
    pair_rate: bool | str
    profile: str
    lanes: str
    lane_secret: str = field(repr=False)
    lane_tls_cert: str
    lane_tls_key: str
    lane_tls_ca: str
    host: str
    ready_file: str
    log_level: str
    account_cc: str
    account_phone_number: str = field(repr=False)
    account_cert: str = field(repr=False)
    account_pin: str = field(repr=False)
    verify_token: str = field(repr=False)
    app_secret: str = field(repr=False)

    @property
    def timers(self) -> Timers:
        """The timers of the profile."""
        return timers_of(self.profile)

    @property
    def lane_credentials(self) -> LaneCredentials:
        """What this host's processes prove themselves with on lanes to other hosts."""
        return LaneCredentials.parse(
            self.lane_secret, self.lane_tls_cert, self.lane_tls_key, self.lane_tls_ca
        )

    @property
    def http_address(self) -> tuple[str, int]:
        """Host (without brackets) and port to listen on."""
        host, _, port = self.http.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def is_cloud(self) -> bool:
        """Whether messages leave for a Cloud API, rather than for the simulator or nowhere."""
        return self.upstream.startswith(("http://", "https://"))

    @property
    def is_metered(self) -> bool:
        """Whether the upstream has WhatsApp's limits: a Cloud API that is not on this machine."""
        host = (urlsplit(self.upstream).hostname or "") if self.is_cloud else "localhost"
        return host != "localhost" and not host.startswith("127.") and host != "::1"

    def effective_number_rate(self) -> float | None:
        """Return the number's rate with "auto" decided; None is off."""
        if self.number_rate == AUTO:
            return NUMBER_RATE_PER_S if self.is_metered else None
        return cast(float | None, self.number_rate)

    def effective_pair_rate(self) -> bool:
        """Return the pacing per recipient with "auto" decided."""
        return self.is_metered if self.pair_rate == AUTO else bool(self.pair_rate)


def cluster_settings(resolved: Resolved) -> ClusterSettings:
    """Return the settings of a supervisor; raise InvalidSettings naming the relation broken."""
    values: dict[str, Value] = dict(resolved.values)
    data_dir = Path(str(values.pop("data_dir"))).absolute()
    values["store"] = store_url(resolved)
    settings = ClusterSettings(data_dir=data_dir, **values)  # type: ignore[arg-type]
    for problem in _problems(settings):
        raise InvalidSettings(problem)
    return settings


def store_url(resolved: Resolved) -> str:
    """Return the store to use, a SQLite file as an absolute path so that children find it too."""
    url = str(resolved.values["store"])
    if not url:
        return f"{_SQLITE}{Path(str(resolved.values['data_dir'])).absolute() / STORE_FILE}"
    if url.startswith(_SQLITE):
        return f"{_SQLITE}{Path(url.removeprefix(_SQLITE)).absolute()}"
    return url


def _problems(settings: ClusterSettings) -> Iterator[str]:
    """Yield what is wrong with values that are right one by one."""
    if bool(settings.tls_cert) != bool(settings.tls_key):
        yield "tls_cert and tls_key belong together; set both or none"
    for name, value in (("tls_cert", settings.tls_cert), ("tls_key", settings.tls_key)):
        if value and not Path(value).is_file():
            yield f"{name} is {value!r}; expected a file there"
    if settings.shards + settings.spares > CHILDREN_PER_ROLE_MAX:
        yield (
            f"shards {settings.shards} and spares {settings.spares} make more than "
            f"{CHILDREN_PER_ROLE_MAX} CoreApps; start some elsewhere with `multiconnect node`"
        )
    if settings.store.startswith("memory:"):
        yield "store memory:// lives in one process only; use sqlite:///FILE or postgresql://…"
    if bool(settings.account_cc) != bool(settings.account_phone_number):
        yield "account_cc and account_phone_number belong together; set both or none"
    yield from _lane_problems(settings)
    yield from _upstream_problems(settings)


def _lane_problems(settings: ClusterSettings) -> Iterator[str]:
    credentials = settings.lane_credentials
    for name in ("lane_tls_cert", "lane_tls_key", "lane_tls_ca"):
        value = getattr(settings, name)
        if value and not Path(value).is_file():
            yield f"{name} is {value!r}; expected a file there"
    if settings.lanes == "unix":
        return
    if listening_place(settings.lanes).leaves_the_machine and not credentials:
        yield (
            f"lanes is {settings.lanes!r}, an address off this machine, and there are no lane "
            f"credentials; expected some, as anybody could send through it: {REMEDY}"
        )


def _upstream_problems(settings: ClusterSettings) -> Iterator[str]:
    # An upstream on this machine is a simulator or a test and asks for nobody's credentials.
    if not settings.is_metered:
        return
    host = urlsplit(settings.upstream).hostname or ""
    variable = BY_NAME["upstream_token"].variable
    if not settings.upstream_token:
        yield (
            f"upstream {host} needs a token; set {variable}, "
            f"or {variable}_FILE to a file that holds it"
        )
    if not settings.upstream_phone_number_id:
        option = BY_NAME["upstream_phone_number_id"]
        yield f"upstream {host} needs a phone number id; set {option.flag} or {option.variable}"


def settings_names() -> tuple[str, ...]:
    """Return the names of all settings; those of config/options.py, which a test compares."""
    return tuple(entry.name for entry in fields(ClusterSettings))
