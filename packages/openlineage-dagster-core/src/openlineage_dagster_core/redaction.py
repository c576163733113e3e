"""Takes secrets out of what users wrote, by its name and by what it looks like."""

from __future__ import annotations

import ipaddress
import re
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

# Every pattern below takes linear time: it starts nowhere but at the beginning of a run of
# characters, and goes back no further than over that run.
_TOKEN = re.compile(
    r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"  # a JSON web token
    r"|(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"  # an AWS access key id
    r"|(?<![A-Za-z0-9])(?:gh[opsru]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{20,})"
    r"|(?<![A-Za-z0-9])(?:xox[a-z]-[\w-]{10,}|xapp-[\w-]{10,})",  # Slack
    re.ASCII,
)
_BEARER = re.compile(r"(?i)(?<!\w)(bearer\s{1,8})[a-z0-9._~+/=-]+")
_LONG_BEARER = re.compile(r"(?i)(?<!\w)(bearer\s{1,8})[a-z0-9._~+/=-]{6,}")
"""In free text: a bearer of news is none."""

_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{1,60}-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{1,60}-----")
_PEM_BODY = re.compile(r"[\w+/=\s\\:,-]*")
"""What may be in a block, where its end is missing."""

_USER_INFO = re.compile(
    r"(?<=[A-Za-z0-9])://(?:"
    # As RFC 3986 has it, but up to the last @.
    r"([^\s/?#\"']*)@"
    # A password with / ? or # in it: what is behind the colon is no port.
    r"|([^\s/?#\"':@\[\]]*:(?!\d*(?:[/?#\s]|$))[^\s\"']{1,256})@)"
)
_HTTP = re.compile(r"(?<![A-Za-z0-9+.-])https?$", re.IGNORECASE)

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
    r"(?:(?:basic|bearer|digest|negotiate|token)[ \t]{1,8})?[^\s;&\"'`]+", re.IGNORECASE
)
_REST_OF_LINE = re.compile(r"[^\r\n]*")
_CLOSING = ",.)]}>"
_NOTHING = frozenset({"", "none", "null", MASK})

_OPTION = re.compile(
    r"(?<![\w-])(--[A-Za-z][\w-]*)([\"']?,?[ ]{1,8}[\"']?)([^\s\"',-][^\s\"',\]]*)"
)
_SQL_PASSWORD = re.compile(
    r"(?i)(?<!\w)((?:password|identified\s{1,8}by)\s{1,8}')[^']*(?=')"
)  # CREATE USER … PASSWORD '…'

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
        without the secrets in it.
    """
    if not value or _is_secret(name):
        return MASK if value else value
    text = value.strip()
    if _TOKEN.fullmatch(text) or _BEARER.fullmatch(text) or "PRIVATE KEY-----" in text:
        return MASK
    return without_secrets(value)


def without_secrets(text: str) -> str:
    """Take the secrets out of free text, such as an error's message, a stack or SQL.

    Args:
        text: any text.

    Returns:
        The text with `MASK` for users and passwords in addresses, for values that stand behind the
        name of a secret, PEM blocks, web tokens, keys and bearers.
    """
    text = _without_pem(text)
    if "://" in text:
        text = _USER_INFO.sub(_masked_user_info, text)
    text = _TOKEN.sub(MASK, text)
    text = _LONG_BEARER.sub(rf"\1{MASK}", text)
    text = _SQL_PASSWORD.sub(rf"\1{MASK}", text)
    text = _without_pairs(text)
    return _OPTION.sub(_masked_option, text) if "--" in text else text


def public_uri(text: str) -> str | None:
    """Make an address fit to be shown, and valid (RFC 3986).

    Args:
        text: what should be an absolute URI.

    Returns:
        The URI without user, password and other secrets, with what is not allowed in it as `%…`;
        None where it is none. A user stays where it is part of the place (abfss://container@…).
    """
    text = without_secrets(text.strip()).replace(f"://{MASK}@", "://")
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


def _masked_user_info(match: re.Match[str]) -> str:
    user_info = match[1] if match[1] is not None else match[2]
    if ":" in user_info:
        return f"://{MASK}@"
    # A token may stand for the user in http; elsewhere a user is no secret, or is part of the place
    # (abfss://container@account).
    before = match.string[max(0, match.start() - 6) : match.start()]
    return f"://{MASK}@" if _HTTP.search(before) and user_info != "git" else match[0]


def _masked_option(match: re.Match[str]) -> str:
    return f"{match[1]}{match[2]}{MASK}" if _is_secret(match[1]) else match[0]


def _without_pairs(text: str) -> str:
    kept, position, done = [], 0, 0
    while pair := _PAIR.search(text, position):
        position = pair.end()
        name = pair[1]
        if name.lower() in _NEEDS_WORD_BEFORE:
            # 'API key: …' in prose.
            before = _WORD_BEFORE.search(text[max(done, pair.start() - 20) : pair.start()])
            name = before[0] + name if before else name
        if not _is_secret(name) or name.endswith(_EXCEPTIONS):
            continue
        start, end = _value(text, position)
        if text[start:end].lower() not in _NOTHING:
            kept += [text[done:start], MASK]
            done = end
        position = max(position, end)
    return "".join((*kept, text[done:])) if kept else text


def _value(text: str, start: int) -> tuple[int, int]:
    """Give where the value that begins at `start` does begin and end, without its quotes."""
    if quoted := _QUOTE.match(text, start):
        start = quoted.end()
        if quoted[1]:
            # JSON within a text: the closing quote has the same backslashes.
            end = text.find(quoted[1] + quoted[2], start)
            if end >= 0:
                return start, end
        elif inside := _UP_TO_QUOTE[quoted[2]].match(text, start):
            return start, inside.end()
        # It was cut before its end.
        rest = _REST_OF_LINE.match(text, start)
        return start, rest.end() if rest else start
    if text.startswith("{", start):
        # ODBC: Pwd={a;b}
        end = text.find("}", start, start + 4096)
        if end >= 0:
            return start, end + 1
    bare = _BARE_VALUE.match(text, start)
    if bare is None:
        return start, start
    return start, start + len(bare[0].rstrip(_CLOSING))


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
