"""Takes secrets out of what users wrote, by its name and by what it looks like."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from urllib.parse import quote, urlsplit

MASK = "***"
"""What stands where a secret was."""

LONGEST_URI = 65536
"""In characters; a longer one is no address."""

_SECRET_WORDS = frozenset(
    {
        "auth", "authorization", "bearer", "connectionstring", "connstr", "cookie", "cred", "creds",
        "credential", "dsn", "jwt", "passcode", "sas", "sessionkey", "sig", "signature",
    }
)  # fmt: skip
_SECRET_ENDINGS = (
    "accesskey", "apikey", "passphrase", "passwd", "password", "privatekey", "pwd", "secret",
    "secretkey", "token",
)  # fmt: skip
"""A word that ends so is a secret's too: PGPASSWORD, clientsecret."""

_SECRET_PAIRS = frozenset(
    {(word, "key") for word in (
        "access", "account", "api", "encryption", "master", "private", "session", "shared",
        "signing", "ssh", "storage",
    )} | {(first, second) for first in ("conn", "connection") for second in ("str", "string")}
)  # fmt: skip
_EXCEPTIONS = ("Error", "Exception", "Warning")
"""In free text, a name that ends so is an exception's: `TokenError: …` is followed by a message."""

_WORD = re.compile(r"[A-Z]+(?=[A-Z][^\W\d_A-Z])|[A-Z]?[^\W\d_A-Z]+|[A-Z]+")
"""The words of a name in snake, camel or kebab case."""

_NAME_KEYS = frozenset({"key", "name"})
_VALUE_KEY = "value"
"""{"name": "DB_PASSWORD", "value": …}, as Kubernetes has it."""

_NAME = re.compile(r"[\w.-]{1,128}")
_DEEPEST = 64
"""What is nested deeper in JSON is masked."""

# Every pattern below takes linear time: it starts nowhere but at the beginning of a run of
# characters, and goes back no further than over that run, or its length is limited.
_TOKEN = re.compile(
    r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"  # a JSON web token
    r"|(?<![A-Za-z0-9])(?:"
    r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"  # an AWS access key id
    r"|gh[opsru]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|"  # GitHub
    r"gl(?:agent|cbt|dt|ft|imt|pat|ptt|rt|soat)-[\w-]{20,}"  # GitLab
    r"|xox[a-z]-[\w-]{10,}|xapp-[\w-]{10,}"  # Slack
    # OpenAI and others; without a word such as proj no dash, as in a name of many words.
    r"|sk-(?:(?:admin|ant|proj|svcacct)-[\w-]{16,}|[A-Za-z0-9]{20,})"
    r"|[rs]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/]{20,}={0,2}"  # Stripe
    r"|AIza[\w-]{30,}|ya29\.[\w-]{20,}(?:\.[\w-]+)*"  # Google
    r"|dapi[0-9a-f]{32}(?:-[0-9]+)?(?![A-Za-z0-9])"  # Databricks
    r"|hv[bsr]\.[\w-]{20,}"  # Vault
    r"|npm_[A-Za-z0-9]{30,}|pypi-(?=[\w-]{0,32}[A-Z0-9])[\w-]{32,}"
    r"|SG\.[\w-]{16,}\.[\w-]{16,}"  # SendGrid
    r"|sq0[a-z]{3}-[\w-]{20,}"  # Square
    r"|glsa_\w{20,}"  # Grafana
    r"|shp(?:at|ca|pa|ss)_[A-Za-z0-9]{20,}"  # Shopify
    r"|hf_[A-Za-z0-9]{30,}|dckr_pat_[\w-]{20,}|dop_v1_[0-9a-f]{32,}"
    r")",
    re.ASCII,
)
_WEBHOOK = re.compile(
    r"(?i)(hooks\.slack(?:-gov)?\.com/(?:services|triggers|workflows)/"
    r"|discord(?:app)?\.com/api/webhooks/)[\w/%+=-]{8,}"
)
_BEARER = re.compile(r"(?i)(?<!\w)(bearer\s{1,8})[a-z0-9._~+/=-]+")
_LONG_BEARER = re.compile(r"(?i)(?<!\w)(bearer\s{1,8})[a-z0-9._~+/=-]{6,}")
"""In free text: a bearer of news is none."""

_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{1,60}-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{1,60}-----")
_PEM_BODY = re.compile(r"[\w+/=\s\\:,-]*")
"""What may be in a block, where its end is missing."""

_ADDRESS = re.compile(r"(?<=[A-Za-z0-9])://")
_ADDRESS_END = re.compile(r"[\s\"']")
_SCHEME_BEFORE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*$")
_AUTHORITY_END = re.compile(r"[/?#]")
_QUERY_OR_FRAGMENT = re.compile(r"[?#]")
_LONGEST_PASSWORD = 1024
_WITH_PATHS = frozenset(
    {
        "abfs", "abfss", "adl", "az", "dbfs", "ftp", "ftps", "gcs", "gs", "hdfs", "http", "https",
        "oss", "s3", "s3a", "s3n", "sftp", "ssh", "wasb", "wasbs", "webhdfs",
    }
)  # fmt: skip
"""Schemes of addresses in whose path an @ is nothing special."""

_ORACLE = re.compile(r"(?i)(?<!\w)(jdbc:oracle:\w{1,16}:)[^\s/@\"']{1,128}/[^\s\"'@]{1,256}@")

_PAIR = re.compile(
    r"(?<![\w.-])([\w.-]+)"  # the name
    r"(?:\\{0,8}[\"'`]\]?)?[ \t]{0,8}(?:=>|:=|==?|:(?!:|//))\s{0,8}"
)
_WORD_BEFORE = re.compile(r"\w+[ \t]$")
_NEEDS_WORD_BEFORE = frozenset({"key", "str", "string"})
_QUOTE = re.compile(r"[bfruBFRU]{0,2}(\\{0,8})([\"'`])")
_UP_TO_QUOTE = {
    quote_sign: re.compile(
        rf"[^{quote_sign}\\]*(?:\\.[^{quote_sign}\\]*)*(?={quote_sign})", re.DOTALL
    )
    for quote_sign in "\"'`"
}
_BARE_VALUE = re.compile(
    r"(?:(?:basic|bearer|digest|negotiate|token)[ \t]{1,8})?"
    # A quote within a word is part of it.
    r"(?:[^\s;&\"'`]|(?<=\w)[\"'`](?=\w))+",
    re.IGNORECASE,
)
_REST_OF_LINE = re.compile(r"[^\r\n]*")
_CLOSING = ",.)]}>"
_NOTHING = frozenset({"", "none", "null", MASK, "|", ">", "-", "(", "[", "{", "[]", "{}", "()"})
_CLOSED_BY = {"(": ")", "[": "]", "{": "}"}
_BRACKETS = {
    opening: re.compile(
        rf"\{opening}|\{closing}|\"(?:[^\"\\\n]|\\.){{0,4096}}\"|'(?:[^'\\\n]|\\.){{0,4096}}'"
    )
    for opening, closing in _CLOSED_BY.items()
}
_MOST_BRACKETS = 128
"""So many brackets and quoted texts are looked at for the end of a value in brackets."""

_TYPE = re.compile(
    r"(?:[A-Za-z_]\w{0,64}\.){0,4}"
    r"(?:Annotated|Any|Callable|ClassVar|Dict|EnvVar|Final|List|Mapping|Optional|SecretStr|Sequence"
    r"|Tuple|Union|bool|bytes|dict|float|int|list|str|tuple)\b"
    r"(?:\[[^\]\n=]{0,200}\]{1,4})?(?:[ ]?\|[ ]?[\w.]{1,64}(?:\[[^\]\n=]{0,200}\]{1,4})?){0,8}"
    r"(?:(?P<assigned>[ ]{0,8}=(?!=)[ ]{0,8})|(?=[ ]{0,8}(?:[,)\r\n]|$)))"
)
"""Of Python, in `SECRET_KEY: str = 'x'` and `def f(password: str)`."""

_ASSIGNED = re.compile(r"[ ]{0,8}=(?!=)[ ]{0,8}")
_BLOCK_MARK = re.compile(r"[|>][+\-0-9]{0,2}[ \t]{0,8}\r?\n")
_INDENTED = re.compile(r"(?:[ \t]*\r?\n)*([ \t]+)(?=[^\s])")
_LIST_ITEM = re.compile(r"[ \t]*-[ ]{1,8}([^\s]+)[ \t]*(?:\r?\n|$)")

_GIVEN_NAME = re.compile(r"[bfruBFRU]{0,2}\\{0,8}[\"'`]?([\w./-]{1,128})")
_BETWEEN_NAME_AND_VALUE = re.compile(r"[^{}()\[\]<>]{0,200}")
_BETWEEN_VALUE_AND_NAME = re.compile(r"[\s,;\"'`\\]{0,64}")

_TUPLE = re.compile(
    r"([(\[]\s{0,8}[bfru]{0,2}(\\{0,8}[\"'`])([\w.-]{1,128})\2\s{0,8},\s{0,8}"
    r"[bfru]{0,2}(\\{0,8}[\"'`]))"
    r"(?:(?!\4)(?:\\.|[^\\])){1,1024}(?=\4\s{0,8},?\s{0,8}[)\]])",
    re.DOTALL,
)
"""('password', 'x')"""

_OPTION = re.compile(
    r"(?<![\w-])(--[A-Za-z][\w-]*)"
    r"(\\{0,8}[\"']\s{0,8},\s{0,8}|[\"']?[ \t]{1,8})"
    r"(?:(\\{0,8}[\"'])(?:(?!\3)[^\r\n]){1,1024}(?=\3)|[^\s\"',\\-][^\s\"'\]]*)"
)
_COMMAND = re.compile(
    r"(?<![\w-])(?:curl|mysql\w{0,16}|mariadb[\w-]{0,16}|mongo\w{0,16}|sshpass|docker[ ]{1,4}login)"
    r"(?![\w.])(?:[^\n\\]|\\.)*",
    re.DOTALL,
)
"""A command and all that stands behind it in its line, which a backslash continues."""

_CURL_USER = re.compile(
    r"((?<![\w-])(?:-[A-Za-z]{0,6}[uU]|--(?:proxy-)?user)(?:\\{0,8}[\"'],)?[ =]{0,4}\\?\s{0,8})"
    r"(?:(\\{0,8}[\"'])[^\"'\s:]{0,128}:(?:(?!\2)[^\r\n]){1,512}(?=\2)"
    r"|[^\s\"':]{0,128}:(?!//)[^\s\"']+)"
)
_MYSQL_PASSWORD = re.compile(
    r"((?<![\w-])-p(?:\\{0,8}[\"'],)?[ ]{0,4})"
    r"(?:(\\{0,8}[\"'])(?:(?!\2)[^\r\n]){1,512}(?=\2)|[^\s\"'\\-][^\s\"']*)"
)

_SQL_PASSWORD = re.compile(
    r"(?i)(?<!\w)((?:password\s{1,8}|password\s?\(\s?"
    r"|identified\s{1,8}(?:with\s{1,8}[^\s']{1,64}\s{1,8})?by\s{1,8}(?:(?:password|values)\s{1,8})?)"
    # No closing quote, as in: raise ValueError('wrong password ' + name)
    r"')(?=[^\s),+;])(?:[^'\\\r\n]|\\.|''){1,1024}(?=')"
)
"""CREATE USER … PASSWORD '…'"""

_SQL_SECRET = re.compile(
    r"(?i)((?<!\w)(?:aws_|azure_|gcs_)?(?:access_key(?:_id)?|account_key|bearer_token|client_secret"
    r"|connection_string|key_id|master_key|private_key|sas_token|secret(?:_access)?_key"
    r"|session_token)\s{1,8}"
    # Such a word is one in prose, but for a place where an option is.
    r"|[(,]\s{0,8}(?:secret|token|credentials)\s{1,8})(')(?=[^\s),+;])"
    r"(?:[^'\\\r\n]|\\.|''){1,1024}(?=')"
)
"""CREATE SECRET … (KEY_ID '…', SECRET '…'); COPY … ACCESS_KEY_ID '…' SECRET_ACCESS_KEY '…'"""

_SQL_BARE_PASSWORD = re.compile(
    # Not 'rows identified by a key' in prose.
    r"(?<!\w)((?:IDENTIFIED\s{1,8}(?:WITH\s{1,8}[^\s']{1,64}\s{1,8})?BY"
    r"|(?i:(?:create|alter)\s{1,8}(?:user|role)\s{1,8}\S{1,128}\s{1,8}identified\s{1,8}by))"
    r"\s{1,8}(?:(?:PASSWORD|VALUES)\s{1,8})?)"
    r"(?!(?:PASSWORD|VALUES)\b)(?:(\")[^\"\r\n]{1,256}(?=\")|(')?[^\s;,\"']+)"
)

_ELEMENT = re.compile(
    r"<([A-Za-z][\w.:-]{0,128})((?:\s[^<>]{0,1024})?)>\s{0,64}(?:<!\[CDATA\[)?([^<]*)"
)
_START_TAG = re.compile(r"<([A-Za-z][\w.:-]{0,128})(\s[^<>]{1,1024})")
_NAME_ATTRIBUTE = re.compile(r"(?i)(?<![\w-])(?:name|key|id)\s{0,4}=\s{0,4}[\"']([\w.-]{1,128})")
_VALUE_ATTRIBUTE = re.compile(r"(?i)((?<![\w-])value\s{0,4}=\s{0,4}([\"']))[^\"']+(?=\2)")

_BRACKETED_HOST = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]*)?")
_HOST = re.compile(r"[^\[\]:@]*(?::[0-9]*)?")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?!\s|\d+(?:/|$))(//)?")
"""Not a letter of a drive, a host with its port, or a word with a colon in prose."""

_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_IN_USER = "!$&'()*+,;=~%"
_IN_HOST = _IN_USER + ":[]"
_IN_PATH = "!$&'()*+,;=~:@/%"
_IN_QUERY = _IN_PATH + "?"


def redacted(name: str, value: str) -> str:
    """Take the secret out of a value that has a name.

    Args:
        name: of an option, an environment variable or a tag; of a dotted name each part counts.
        value: the value.

    Returns:
        `MASK` where the name is that of a secret or the value is one by its looks; else the value
        without the secrets in it. A value that is a JSON object or list is written anew, in compact
        form, where there is a secret in it.
    """
    if not value or _is_secret(name):
        return MASK if value else value
    text = value.strip()
    if _TOKEN.fullmatch(text) or _BEARER.fullmatch(text) or "PRIVATE KEY-----" in text:
        return MASK
    if text.startswith(("{", "[")):
        try:
            given = json.loads(text, object_pairs_hook=_object)
        except (ValueError, RecursionError):
            return without_secrets(value)
        masked = _masked_json("", given, 0)
        if masked == given:
            return value
        return json.dumps(masked, ensure_ascii=False, separators=(",", ":"))
    return without_secrets(value)


def secrets_within(value: object) -> frozenset[object]:
    """Find what is a secret in a mapping or a list by what stands beside it.

    Args:
        value: a mapping such as {"name": "DB_PASSWORD", "value": …}, or a list such as
            ["password", …] or ["run", "--token", …]; anything else has no such secrets.

    Returns:
        The keys or the indexes of the secrets.
    """
    if isinstance(value, Mapping):
        folded = [(key, str(key).lower()) for key in value]
        if any(
            name in _NAME_KEYS and isinstance(value[key], str) and _is_secret(value[key])
            for key, name in folded
        ):
            return frozenset(key for key, name in folded if name == _VALUE_KEY)
    if not isinstance(value, (list, tuple)):
        return frozenset()
    is_curl = any(isinstance(item, str) and item.endswith("curl") for item in value)
    return frozenset(
        index
        for index, (first, second) in enumerate(pairwise(value), 1)
        if isinstance(first, str)
        and isinstance(second, str)
        and _is_before_secret(first, second, is_pair=len(value) == 2, is_curl=is_curl)
    )


def without_secrets(text: str) -> str:
    """Take the secrets out of free text, such as an error's message, a stack or SQL.

    Args:
        text: any text.

    Returns:
        The text with `MASK` for users and passwords in addresses, for values that stand behind the
        name of a secret, PEM blocks, web tokens, keys and bearers.
    """
    if len(text) < 16 and text.isalnum():
        return text
    text = _without_pem(text)
    if "://" in text:
        text = _without_user_info(text, MASK + "@")
    text = _ORACLE.sub(rf"\1{MASK}@", text)
    text = _WEBHOOK.sub(rf"\1{MASK}", text)
    text = _TOKEN.sub(MASK, text)
    text = _LONG_BEARER.sub(rf"\1{MASK}", text)
    text = _SQL_PASSWORD.sub(rf"\1{MASK}", text)
    text = _SQL_SECRET.sub(rf"\1\2{MASK}", text)
    text = _SQL_BARE_PASSWORD.sub(rf"\1\2\3{MASK}", text)
    if "<" in text:
        text = _START_TAG.sub(_masked_attributes, text)
        text = _without_elements(text)
    text = _without_pairs(text)
    text = _TUPLE.sub(_masked_tuple, text)
    if "--" in text:
        text = _OPTION.sub(_masked_option, text)
    return _COMMAND.sub(_masked_command, text)


def without_user(uri: str) -> str:
    """Take user and password out of an address.

    Args:
        uri: an address; anything else is given back.

    Returns:
        The address without them. A user without a password stays, but in http and https, where it
        may be a token: elsewhere it may be part of the place (abfss://container@account).
    """
    return _ORACLE.sub(r"\1@", _without_user_info(uri, "", is_address=True))


def public_uri(text: str) -> str | None:
    """Make an address fit to be shown, and valid (RFC 3986).

    Args:
        text: what should be an absolute URI.

    Returns:
        The URI without user, password and other secrets, with what is not allowed in it as `%…`;
        None where it is none. A user stays where it is part of the place (abfss://container@…).
    """
    text = without_secrets(without_user(text.strip())).replace(f"://{MASK}@", "://")
    scheme = _SCHEME.match(text)
    if scheme is None or len(text) > LONGEST_URI:
        return None
    try:
        # The scheme of the reference is no matter here; a colon in the path is no scheme then.
        parts = urlsplit(f"x:{text[scheme.end(1) + 1 :]}")
    except ValueError:
        return None
    user, at, host = parts.netloc.rpartition("@")
    if not _is_host(host) or not (parts.netloc or parts.path):
        return None
    return "".join(
        (
            scheme[1].lower(),
            ":",
            scheme[2] or "",
            _percent_encoded(user, _IN_USER) + at + _percent_encoded(host, _IN_HOST),
            _percent_encoded(parts.path, _IN_PATH),
            "?" + _percent_encoded(parts.query, _IN_QUERY) if parts.query else "",
            "#" + _percent_encoded(parts.fragment, _IN_QUERY) if parts.fragment else "",
        )
    )


def _is_secret(name: str) -> bool:
    words = [word.lower() for word in _WORD.findall(name)]
    # A plural is a secret's name too.
    forms = {form for word in words for form in (word, word.removesuffix("s"))}
    return (
        not forms.isdisjoint(_SECRET_WORDS)
        or any(form.endswith(_SECRET_ENDINGS) for form in forms)
        # DB_PASS, but not pass_rate.
        or words[-1:] == ["pass"]
        or any(
            (first, second.removesuffix("s")) in _SECRET_PAIRS for first, second in pairwise(words)
        )
    )


def _without_pem(text: str) -> str:
    if "-----BEGIN " not in text:
        return text
    kept, position, has_end = [], 0, True
    while begin := _PEM_BEGIN.search(text, position):
        end = _PEM_END.search(text, begin.end()) if has_end else None
        # Where there is no end behind this one there is none behind the next.
        has_end = end is not None
        last = end or _PEM_BODY.match(text, begin.end())
        kept += [text[position : begin.start()], MASK]
        position = last.end() if last else begin.end()
    return "".join((*kept, text[position:]))


def _names_a_secret(text: str) -> bool:
    return _NAME.fullmatch(text) is not None and _is_secret(text)


def _is_before_secret(first: str, second: str, *, is_pair: bool, is_curl: bool) -> bool:
    if not first.startswith("-"):
        return is_pair and _names_a_secret(first)
    if is_curl and first in ("-u", "--user", "-U", "--proxy-user"):
        return True
    return not second.startswith("-") and _names_a_secret(first)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        # What comes last counts, but the others would leave with the text.
        raise ValueError
    return found


def _masked_json(name: str, value: object, depth: int) -> object:
    if value is None or isinstance(value, bool) or value in ("", [], {}):
        return value
    if depth > _DEEPEST or _is_secret(name):
        return MASK
    if isinstance(value, str):
        return redacted(name, value)
    secrets = secrets_within(value)
    if isinstance(value, dict):
        return {
            without_secrets(key): MASK
            if inner and key in secrets
            else _masked_json(key, inner, depth + 1)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [
            MASK if inner and index in secrets else _masked_json("", inner, depth + 1)
            for index, inner in enumerate(value)
        ]
    return value


def _without_user_info(text: str, mask: str, *, is_address: bool = False) -> str:
    """Replace what is before the host, and the @, in each address."""
    starts = [match.end() for match in _ADDRESS.finditer(text)]
    kept, done = [], 0
    for start, following in pairwise([*starts, len(text)]):
        stop = None if is_address else _ADDRESS_END.search(text, start, following)
        rest = text[start : stop.start() if stop else following]
        before = _SCHEME_BEFORE.search(text[max(0, start - 35) : start - 3])
        end = _user_info_end(before[0].lower() if before else "", rest, is_address)
        if end:
            kept += [text[done:start], mask]
            done = start + end
    return "".join((*kept, text[done:]))


def _user_info_end(scheme: str, rest: str, is_address: bool) -> int:
    """Give how much of what is behind :// is a user and a password with their @."""
    scheme = scheme.rpartition("+")[2] if scheme.endswith(("+http", "+https")) else scheme
    is_http = scheme in ("http", "https")
    first = _AUTHORITY_END.search(rest)
    authority = rest[: first.start()] if first else rest
    user_info, at, _ = authority.rpartition("@")
    if at and ":" not in user_info:
        # A token may stand for the user in http; elsewhere a user is no secret, or is part of the
        # place (abfss://container@account).
        is_token = is_http and (is_address or user_info != "git")
        return len(user_info) + 1 if is_token else 0
    if at:
        end = len(user_info) + 1
        # A password with both an @ and a slash in it.
        return end if scheme in _WITH_PATHS else max(end, _last_at(rest, end))
    user, colon, behind = authority.partition(":")
    if not colon or "[" in user or scheme == "file":
        return 0
    if not behind or behind.isdecimal():
        # It looks like a port, and is one in http; elsewhere nothing but an @ tells.
        return 0 if is_http else _last_at(rest, 0)
    # A password with / ? or # in it.
    end = rest.find("@", len(authority), len(authority) + _LONGEST_PASSWORD) + 1
    if end and scheme in _WITH_PATHS:
        last = _AUTHORITY_END.search(rest, end)
        return max(end, rest.rfind("@", end, last.start() if last else len(rest)) + 1)
    return max(end, _last_at(rest, end)) if end else 0


def _last_at(rest: str, start: int) -> int:
    """Give where the last @ before a query ends, 0 where there is none."""
    query = _QUERY_OR_FRAGMENT.search(rest, start)
    return rest.rfind("@", start, query.start() if query else len(rest)) + 1


def _masked_option(match: re.Match[str]) -> str:
    return f"{match[1]}{match[2]}{match[3] or ''}{MASK}" if _is_secret(match[1]) else match[0]


def _masked_tuple(match: re.Match[str]) -> str:
    return f"{match[1]}{MASK}" if _is_secret(match[3]) else match[0]


def _masked_command(match: re.Match[str]) -> str:
    command = match[0]
    if "curl" in command:
        command = _CURL_USER.sub(_masked_argument, command)
    if not command.startswith("curl"):
        command = _MYSQL_PASSWORD.sub(_masked_argument, command)
    return command


def _masked_argument(match: re.Match[str]) -> str:
    return f"{match[1]}{match[2] or ''}{MASK}"


def _masked_attributes(match: re.Match[str]) -> str:
    if not _is_secret(match[1]):
        return match[0]
    attributes = _VALUE_ATTRIBUTE.sub(rf"\1{MASK}", match[2])
    return f"<{match[1]}{attributes}"


def _without_elements(text: str) -> str:
    """Mask what is in <password>…</password>, and in the <value> behind a secret's <name>."""
    masked = _Masked(text)
    is_named = False
    for element in _ELEMENT.finditer(text):
        tag, content = element[1], element[3].strip()
        if not content:
            continue
        attribute = _NAME_ATTRIBUTE.search(element[2])
        if (
            _is_secret(tag)
            or (attribute is not None and _is_secret(attribute[1]))
            or (is_named and tag.lower() == _VALUE_KEY)
        ) and text.startswith((f"</{tag}", f"<\\/{tag}"), element.end()):
            start = element.start(3) + element[3].index(content)
            length = len(content.removesuffix("]]>"))
            masked.hide(start, start + length)
        is_named = tag.lower() in _NAME_KEYS and _names_a_secret(content)
    return masked.result()


class _Masked:
    """A text of which parts are hidden, one behind the other."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._kept: list[str] = []
        self.done = 0

    def hide(self, start: int, end: int) -> None:
        """Mask a part, where there is something in it."""
        if start >= self.done and self._text[start:end].lower() not in _NOTHING:
            self._kept += [self._text[self.done : start], MASK]
            self.done = end

    def result(self) -> str:
        """Give the text with its masks."""
        return "".join((*self._kept, self._text[self.done :])) if self._kept else self._text


def _without_pairs(text: str) -> str:
    masked = _Masked(text)
    position = 0
    # Where the name of a secret in name=… ends, and where the value in value=… begins.
    named, value = -1, -1
    while pair := _PAIR.search(text, position):
        position = pair.end()
        name = pair[1]
        folded = name.lower()
        if folded in _NEEDS_WORD_BEFORE:
            # 'API key: …' in prose.
            before = _WORD_BEFORE.search(text[max(masked.done, pair.start() - 20) : pair.start()])
            name = before[0] + name if before else name
        is_secret = _is_secret(name) and not name.endswith(_EXCEPTIONS)
        if folded in _NAME_KEYS and not is_secret:
            given = _GIVEN_NAME.match(text, position)
            named = given.end() if given and _is_secret(given[1]) else -1
            if named >= 0 and value >= 0:
                start, end = _value(text, value, pair.start())
                if _BETWEEN_VALUE_AND_NAME.fullmatch(text, end, pair.start()):
                    masked.hide(start, end)
            value = -1
        elif folded == _VALUE_KEY:
            is_secret = (
                named >= 0
                and _BETWEEN_NAME_AND_VALUE.fullmatch(text, named, pair.start()) is not None
            )
            named, value = -1, -1 if is_secret else position
        if is_secret:
            for start, end in _values(text, pair):
                masked.hide(start, end)
                position = max(position, end)
    return masked.result()


def _values(text: str, pair: re.Match[str]) -> Iterator[tuple[int, int]]:
    """Give where the parts of the value behind a name and its sign begin and end."""
    position = pair.end()
    has_colon = pair[0].rstrip().endswith(":")
    if has_colon and (annotation := _TYPE.match(text, position)):
        if annotation["assigned"]:
            yield _value(text, annotation.end())
        return
    if has_colon and (block := _block(text, position)):
        yield block
        return
    if has_colon and "\n" in pair[0] and (item := _LIST_ITEM.match(text, position)):
        while item:
            yield item.span(1)
            item = _LIST_ITEM.match(text, item.end())
        return
    start, end = _value(text, position)
    yield start, end
    if has_colon and (assigned := _ASSIGNED.match(text, end)):
        # A type that is not known.
        yield _value(text, assigned.end())


def _block(text: str, start: int) -> tuple[int, int] | None:
    """Give where the indented lines behind `password: |` begin and end."""
    mark = _BLOCK_MARK.match(text, start)
    first = _INDENTED.match(text, mark.end()) if mark else None
    if first is None:
        return None
    line = text[text.rfind("\n", 0, start) + 1 : start]
    if len(first[1]) <= len(line) - len(line.lstrip(" \t")):
        return None
    end = first.end()
    while rest := _REST_OF_LINE.match(text, end):
        end = rest.end()
        following = _INDENTED.match(text, end)
        if following is None or not following[1].startswith(first[1]):
            break
        end = following.end()
    return first.end(), end


def _value(text: str, start: int, limit: int | None = None) -> tuple[int, int]:
    """Give where the value that begins at `start` does begin and end, without its quotes."""
    limit = len(text) if limit is None else limit
    if quoted := _QUOTE.match(text, start, limit):
        start = quoted.end()
        if quoted[1]:
            # JSON within a text: the closing quote has the same backslashes.
            end = text.find(quoted[1] + quoted[2], start, limit)
            if end >= 0:
                return start, end
        elif inside := _UP_TO_QUOTE[quoted[2]].match(text, start, limit):
            return start, inside.end()
        # It was cut before its end.
        rest = _REST_OF_LINE.match(text, start, limit)
        return start, rest.end() if rest else start
    if text[start : start + 1] in _CLOSED_BY:
        return start, _bracket_end(text, start, limit)
    bare = _BARE_VALUE.match(text, start, limit)
    if bare is None:
        return start, start
    return start, start + len(bare[0].rstrip(_CLOSING))


def _bracket_end(text: str, start: int, limit: int) -> int:
    """Give where what is in brackets ends: ODBC's Pwd={a;b}, ('user', 'password')."""
    opening = text[start]
    closing = _CLOSED_BY[opening]
    depth = 0
    found = _BRACKETS[opening].finditer(text, start, min(limit, start + 65536))
    for _, bracket in zip(range(_MOST_BRACKETS), found, strict=False):
        depth += (bracket[0] == opening) - (bracket[0] == closing)
        if not depth:
            return bracket.end()
    # A quote or a bracket without another, or it was cut before its end.
    rest = _REST_OF_LINE.match(text, start, min(limit, start + 4096))
    return rest.end() if rest else start


def _is_host(host: str) -> bool:
    if bracketed := _BRACKETED_HOST.fullmatch(host):
        try:
            ipaddress.IPv6Address(bracketed[1])
        except ValueError:
            return False
        return True
    return _HOST.fullmatch(host) is not None


def _percent_encoded(text: str, allowed: str) -> str:
    return _STRAY_PERCENT.sub("%25", quote(text, safe=allowed, errors="replace"))
