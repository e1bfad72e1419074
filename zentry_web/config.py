"""Every setting of Zentry, read from environment variables here and nowhere else."""

import contextlib
import re
import secrets
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    FilePath,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from zentry_web.addresses import check_address, check_database, check_mail_server
from zentry_web.domain.credits.payments import CURRENCIES, UNCLEAR, CreditPrice
from zentry_web.domain.money import MAX_AMOUNT, MICRO
from zentry_web.domain.projects.quota import LARGEST
from zentry_web.domain.setting import NO_LIMIT, SettingKey, SettingValue, parse_domains
from zentry_web.logs import check_target

DEFAULT_PORTS = {"http": 80, "https": 443}


def _none_is_no_limit(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() in ("", "none") else value


QuotaLimit = Annotated[Annotated[int, Field(ge=0, le=LARGEST)] | None, BeforeValidator(_none_is_no_limit)]


Address = Annotated[str, AfterValidator(check_address)]
MailServer = Annotated[str, AfterValidator(check_address), AfterValidator(check_mail_server)]
DatabaseUrl = Annotated[str, AfterValidator(check_database)]
LogTarget = Annotated[str, AfterValidator(check_target)]


class Config(BaseSettings):
    """Settings with their defaults. ``Config()`` reads the environment; keyword arguments override it."""

    model_config = SettingsConfigDict(env_prefix="ZENTRY_", frozen=True, extra="ignore")

    port: int = Field(8080, validation_alias="PORT", ge=1, le=65535)
    bind: str = "127.0.0.1"
    base_url: str = ""  # http://localhost:PORT; links in mails, host check
    trusted_proxies: int = Field(0, ge=0)  # how many proxies in front may set X-Forwarded-*
    data: Path = Path("data")  # one folder holds everything
    backup_folder: Path | None = None  # where the worker puts a backup each day; none: it makes none
    backup_keep: int = Field(14, ge=1)  # how many of those stay
    backups: Path | None = None  # where copies of machines' disks go; none: none are made
    backups_same_disk: bool = False  # that may be on the disk of the machines themselves
    database_url: DatabaseUrl = ""  # sqlite in the data folder
    metrics_url: DatabaseUrl = ""  # sqlite in the data folder, or schema 'metrics' of the PostgreSQL database
    compute: Literal["libvirt", "simulator"] = "libvirt"
    libvirt_uri: str = ""  # found by itself when empty
    secret_key: str = ""  # made and kept in the data folder when empty
    smtp_url: MailServer = ""  # smtp://host:port or smtps://user:password@host:port; without it nothing is mailed
    smtp_ca_file: FilePath | None = None  # who vouches for the mail server, where no public authority does
    mail_from: str = ""  # Zentry <zentry@HOST>
    captcha_provider: Literal["", "hcaptcha", "turnstile", "recaptcha"] = ""  # asks visitors whether they are programs
    captcha_site_key: str = ""
    captcha_secret: SecretStr = SecretStr("")
    captcha_api: Address = ""  # the provider's own; another address for tests
    oidc_issuer: Address = ""  # an OpenID provider people may sign in through; its address exactly as it names itself
    oidc_client_id: str = ""
    oidc_client_secret: SecretStr = SecretStr("")  # without it Zentry is a public client: PKCE alone
    oidc_name: str = Field("single sign-on", min_length=1, max_length=40)  # what its button says
    oidc_scopes: str = "openid email profile"
    log: LogTarget = ""  # a file, syslog:/dev/log or syslog://host:port; standard error when empty
    metrics_token: str = ""  # bearer token for /metrics; without it /metrics does not exist
    worker_port: int = Field(0, ge=0, le=65535)  # the worker's health and figures, on loopback; 0: not served
    environment: Literal["production", "development", "test"] = "production"

    payments: Literal["", "none", "stripe", "test"] = ""  # none in production, else test
    stripe_secret_key: SecretStr = SecretStr("")
    stripe_publishable_key: str = ""
    stripe_webhook_secret: SecretStr = SecretStr("")
    stripe_api: Address = ""  # Stripe's own; another address for tests
    credit_price: str = "eur 100"  # currency, and minor units (cents) for one credit

    starting_credits: Decimal = Decimal(5)
    approval_credits: Decimal = Field(Decimal(1000), ge=0)  # an admin who moves more needs a second one
    hold_window_seconds: int = Field(3600, ge=120, le=30 * 86_400)
    stop_timeout_seconds: int = Field(60, ge=5, le=3600)
    silent_seconds: int | None = Field(None, ge=1, le=86_400)  # without a sign of life, until that is said
    grace_days: int = Field(14, ge=1, le=365)  # how long a disk that nobody pays for is kept
    quota_user_vms: QuotaLimit = 100  # of all projects that a person owns together; 'none': no limit
    quota_user_vcpus: QuotaLimit = 200
    quota_user_memory_mib: QuotaLimit = 400 * 1024
    quota_user_disk_gib: QuotaLimit = 4000
    quota_user_stored_gib: QuotaLimit = 4000  # snapshots, images made of machines, backups
    quota_project_vms: QuotaLimit = None  # of each project
    quota_project_vcpus: QuotaLimit = None
    quota_project_memory_mib: QuotaLimit = None
    quota_project_disk_gib: QuotaLimit = None
    quota_project_stored_gib: QuotaLimit = None
    bin_days: int = Field(7, ge=0, le=365)  # how long what was deleted can be restored; 0: deleted at once
    max_projects: int = Field(200, ge=1, le=1000)  # of one account
    signup: Literal["open", "invited", "closed"] = "open"
    terms: str = ""  # plain text for /terms
    contact: str = ""  # plain text for /contact
    image_hosts: str = "cloud.debian.org .debian.org cloud-images.ubuntu.com"  # where images may be fetched from
    image_networks: str = ""  # private networks that such a host may be in all the same, such as 10.1.0.0/16
    image_ca_file: FilePath | None = None  # who vouches for such a host, where no public authority does
    image_gib: int = Field(20, ge=1, le=10_000)  # the largest image, and disk in it
    image_minutes: int = Field(240, ge=1, le=10_000)  # for fetching one
    docs: str = ""  # the address of the operator's documentation
    signup_domains: str = ""  # example.com .example.org; with a dot all below it; empty: every address
    seller_name: str = ""  # who sells credits, as receipts name them; so the three below
    seller_address: str = ""
    seller_country: str = ""  # two letters
    seller_vat_number: str = ""
    login_tries: int = Field(10, ge=3)  # wrong ones in 15 minutes on one account from one address
    signups_per_hour: int = Field(100, ge=1)  # from one network address
    invitations_per_hour: int = Field(30, ge=1)  # of one person
    admin_factor: Literal["", "required", "optional"] = ""  # required with real machines
    signup_seconds: float = Field(2, ge=0)  # who fills the sign-up form in faster waits, or presses again
    rate_factor: int = Field(1, ge=1)  # multiplies the limits of what is costly (services/shared/rate_rules.py)
    price_notice_days: int = Field(14, ge=0, le=730)  # before it begins, a dearer price of machines there are is told
    session_days: int = Field(30, ge=1, le=3650)
    session_idle_days: int = Field(7, ge=1, le=3650)  # an unused session ends sooner
    sample_seconds: int = Field(10, ge=1, le=86_400)
    reconcile_seconds: float = Field(3.0, gt=0)
    metrics_hours: int = Field(24, ge=1, le=100_000)
    argon2_memory_kib: int = Field(19456, ge=8)
    argon2_time_cost: int = Field(2, ge=1)
    web_workers: int = Field(2, ge=1)
    web_threads: int = Field(400, ge=4)
    pause_at: str = ""  # a checkpoint's name, for kill tests: the process waits there to be killed
    simulator_seed: int = 1
    simulator_boot_seconds: float = Field(2.0, ge=0)

    @field_validator("data", "backups")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.resolve() if value else None

    @field_validator("*", mode="before")
    @classmethod
    def _plain_digits(cls, value: object, info: ValidationInfo) -> object:
        """Numbers as forms take them: ``int`` and ``Decimal`` would also read digits of every script, and 1_000."""
        kind = str(cls.model_fields[str(info.field_name)].annotation)
        is_number = re.search(r"\b(int|float|Decimal)\b", kind)
        if is_number and isinstance(value, str) and ("_" in value or not value.isascii()):
            raise ValueError("write numbers in the digits 0 to 9, with nothing between them")
        return value

    @field_validator("starting_credits", "approval_credits")
    @classmethod
    def _whole_micro(cls, value: Decimal) -> Decimal:
        if not value.is_finite() or not 0 <= value <= MAX_AMOUNT // MICRO:
            raise ValueError(f"credits are 0 to {MAX_AMOUNT // MICRO:,}")
        if value * MICRO != (value * MICRO).to_integral_value():
            raise ValueError("credits must be positive with at most six decimals")
        return value

    @field_validator("credit_price")
    @classmethod
    def _currency_and_units(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z]{3} [1-9][0-9]{0,8}", value.strip().lower()):
            raise ValueError("ZENTRY_CREDIT_PRICE is a currency and minor units per credit, such as 'eur 100'")
        currency = value.split()[0].lower()
        if currency in UNCLEAR:
            raise ValueError(
                f"ZENTRY_CREDIT_PRICE: {currency.upper()} is not offered. Stripe's table counts it in two ways, so "
                "what is charged might not be what is shown"
            )
        if currency not in CURRENCIES:
            raise ValueError(f"ZENTRY_CREDIT_PRICE: {currency.upper()} is no currency that Stripe charges in")
        return value.strip().lower()

    @field_validator("image_networks")
    @classmethod
    def _networks(cls, value: str) -> str:
        for network in value.split():
            ip_network(network)
        return value

    @field_validator("signup_domains", "image_hosts")
    @classmethod
    def _domains(cls, value: str) -> str:
        return " ".join(parse_domains(value))

    @model_validator(mode="after")
    def _payments_are_real(self) -> "Config":
        if self.payments == "test" and self.environment == "production":
            raise ValueError("ZENTRY_PAYMENTS=test gives credits without money: it is not for production")
        keys = (self.stripe_secret_key.get_secret_value(), self.stripe_webhook_secret.get_secret_value())
        if self.payments == "stripe" and not (all(keys) and self.stripe_publishable_key):
            raise ValueError(
                "ZENTRY_PAYMENTS=stripe needs ZENTRY_STRIPE_SECRET_KEY, ZENTRY_STRIPE_PUBLISHABLE_KEY and "
                "ZENTRY_STRIPE_WEBHOOK_SECRET"
            )
        return self

    @model_validator(mode="after")
    def _captcha_is_whole(self) -> "Config":
        if self.captcha_provider and not (self.captcha_site_key and self.captcha_secret.get_secret_value()):
            raise ValueError(
                f"ZENTRY_CAPTCHA_PROVIDER={self.captcha_provider} needs ZENTRY_CAPTCHA_SITE_KEY and "
                "ZENTRY_CAPTCHA_SECRET"
            )
        return self

    @model_validator(mode="after")
    def _issuer_is_safe(self) -> "Config":
        if bool(self.oidc_issuer) != bool(self.oidc_client_id):
            raise ValueError("ZENTRY_OIDC_ISSUER and ZENTRY_OIDC_CLIENT_ID are set together or not at all")
        if not self.oidc_issuer:
            return self
        parts = urlsplit(self.oidc_issuer)
        local = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
        if not parts.hostname or (parts.scheme != "https" and not local) or parts.query or parts.fragment:
            raise ValueError("ZENTRY_OIDC_ISSUER is an https address without query (http only on this machine)")
        if "openid" not in self.oidc_scopes.split():
            raise ValueError("ZENTRY_OIDC_SCOPES must have 'openid' among its words")
        return self

    @field_validator("bind")
    @classmethod
    def _without_brackets(cls, value: str) -> str:
        return value.strip().removeprefix("[").removesuffix("]")

    @model_validator(mode="after")
    def _base_url_is_safe(self) -> "Config":
        parts = urlsplit(self.url)
        if parts.path or parts.query or parts.fragment or parts.username is not None:
            raise ValueError(
                f"ZENTRY_BASE_URL is scheme, host and port, such as https://cloud.example.com: not {self.url!r}. "
                "Zentry has a host name of its own; it does not run below a path."
            )
        if parts.scheme not in ("http", "https") or not parts.hostname or not _has_good_port(self.url):
            raise ValueError(f"ZENTRY_BASE_URL must be an http or https address, not {self.url!r}")
        if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError(
                "ZENTRY_BASE_URL over plain http is only for localhost: passwords and sessions would travel "
                "unencrypted. Put a TLS proxy in front and use https."
            )
        return self

    @property
    def url(self) -> str:
        """The address people use, as browsers write it: no trailing slash, no port that the scheme means anyway."""
        return _as_browsers_write(self.base_url.strip() or f"http://localhost:{self.port}")

    @property
    def listen(self) -> str:
        """Address and port that the web server listens on."""
        return f"[{self.bind}]:{self.port}" if ":" in self.bind else f"{self.bind}:{self.port}"

    @property
    def host(self) -> str:
        """The name of this Zentry among hosts: that of its address."""
        return urlsplit(self.url).hostname or "localhost"

    @property
    def mail_sender(self) -> str:
        """The From of mails."""
        return self.mail_from or f"Zentry <zentry@{'localhost' if ':' in self.host else self.host}>"

    @property
    def payment_provider(self) -> str:
        """'none', 'stripe' or 'test'."""
        return self.payments or ("none" if self.environment == "production" else "test")

    @property
    def price_of_credits(self) -> CreditPrice:
        currency, units = self.credit_price.split()
        return CreditPrice(currency, int(units))

    @property
    def is_https(self) -> bool:
        return self.url.startswith("https://")

    @property
    def admins_need_factor(self) -> bool:
        """Whether an admin without a second factor may do no more than anybody else."""
        if self.admin_factor:
            return self.admin_factor == "required"
        return self.environment != "test" and self.compute != "simulator"

    @property
    def starting_micro(self) -> int:
        return int(self.starting_credits * MICRO)

    @property
    def approval_micro(self) -> int:
        return int(self.approval_credits * MICRO)

    @property
    def setting_defaults(self) -> dict[SettingKey, SettingValue]:
        """What the settings of the interface begin with."""
        plain = {key: getattr(self, key.value) for key in SettingKey}
        return {key: NO_LIMIT if value is None else value for key, value in plain.items()} | {
            SettingKey.STARTING_CREDITS: self.starting_micro,
            SettingKey.APPROVAL_CREDITS: self.approval_micro,
            SettingKey.SIGNUP_DOMAINS: parse_domains(self.signup_domains),
            SettingKey.IMAGE_HOSTS: parse_domains(self.image_hosts),
        }

    @property
    def pinned_settings(self) -> frozenset[SettingKey]:
        """Those that were given a value: nobody changes them in the interface."""
        return frozenset(key for key in SettingKey if key.value in self.model_fields_set)

    @property
    def business_url(self) -> str:
        """SQLAlchemy URL of the business database."""
        return self.database_url or f"sqlite:///{self.data / 'zentry.sqlite'}"

    @property
    def metrics_database_url(self) -> str:
        """SQLAlchemy URL of the metrics store."""
        if self.metrics_url:
            return self.metrics_url
        if self.database_url.startswith("postgresql"):
            return self.database_url
        return f"sqlite:///{self.data / 'metrics.sqlite'}"

    @property
    def image_dir(self) -> Path:
        return self.data / "images"

    def prepare_data(self) -> None:
        """Create the data folder. Only this user reads it; the hypervisor's passes through, to guests' disks."""
        if not self.data.exists():
            self.data.mkdir(parents=True, exist_ok=True)
            self.data.chmod(0o711)  # whatever the umask

    def get_secret_key(self) -> str:
        """The key given, or one made at the first call and kept in the data folder."""
        return self.secret_key or _kept(self.data / "secret-key", 32)

    def get_namespace(self) -> str:
        """Eight hex digits that name this data folder in domains, networks and bridges."""
        return _kept(self.data / "namespace", 4)


def _has_good_port(address: str) -> bool:
    try:
        return urlsplit(address).port != 0
    except ValueError:
        return False


def _as_browsers_write(address: str) -> str:
    """``HTTPS://Cloud.Example:443/`` is ``https://cloud.example``. What is no address stays as it is."""
    text = address.rstrip("/")
    try:
        parts = urlsplit(text)
        port, host = parts.port, (parts.hostname or "").encode("idna").decode()
    except (ValueError, UnicodeError):
        return text
    if not host or parts.username is not None:
        return text
    shown = f"[{host}]" if ":" in host else host
    named = "" if port is None or port == DEFAULT_PORTS.get(parts.scheme) else f":{port}"
    return parts._replace(netloc=shown + named).geturl()


def _kept(path: Path, size: int) -> str:
    """The contents of a small private file, made with random hex on first use; safe when two processes start."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(size) + "\n")
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    return path.read_text().strip()
