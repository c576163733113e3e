"""Masks secrets in users' text: by name, in addresses, and by the known shapes of tokens.

Every pattern takes linear time: it starts at the beginning of a run, or its length is limited.
"""

import contextlib
import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from itertools import pairwise
from urllib.parse import quote

MASK = "***"
# The words of a name in snake, camel or kebab case are joined by _ before the match.
_WORD = re.compile(r"[A-Z]+(?=[A-Z][^\W\d_A-Z])|[A-Z]?[^\W\d_A-Z]+|[A-Z]+")
_SECRET_NAME = re.compile(
    r"(?:(?:^|_)(?:auth|authorization|bearer|connectionstring|connstr|cookie|creds?|credential|dsn"
    r"|jwt|passcode|sas|sessionkey|sig|signature|conn(?:ection)?_str(?:ing)?"
    r"|(?:access|account|api|encryption|master|private|session|shared|signing|ssh|storage|symmetric)_key)"
    # A word that ends so is a secret's too: PGPASSWORD, clientsecret.
    r"|accesskey|apikey|passphrase|passwd|password|privatekey|pwd|secret|secretkey|token)s?(?:_|$)"
    r"|(?:^|_)pass$"  # DB_PASS, but not pass_rate
)
_CURL_OPTIONS = ("-u", "--user", "-U", "--proxy-user")
_DEEPEST = 64  # JSON that is nested deeper is masked
_TOKEN = re.compile(
    # JSON web tokens, AWS key ids, tokens that name their service, webhooks; not sk-many-words
    r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?|(?<![A-Za-z0-9])(?:"
    r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])|gh[opsru]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"
    r"|gl(?:agent|cbt|dt|ft|imt|pat|ptt|rt|soat)-[\w-]{20,}|xox[a-z]-[\w-]{10,}|xapp-[\w-]{10,}"
    r"|sk-(?:(?:admin|ant|proj|svcacct)-[\w-]{16,}|[A-Za-z0-9]{20,})"
    r"|[rs]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/]{20,}={0,2}|AIza[\w-]{30,}"
    r"|ya29\.[\w-]{20,}(?:\.[\w-]+)*|dapi[0-9a-f]{32}(?:-[0-9]+)?(?![A-Za-z0-9])|hv[bsr]\.[\w-]{20,}"
    r"|npm_[A-Za-z0-9]{30,}|pypi-(?=[\w-]{0,32}[A-Z0-9])[\w-]{32,}|SG\.[\w-]{16,}\.[\w-]{16,}"
    r"|sq0[a-z]{3}-[\w-]{20,}|glsa_\w{20,}|shp(?:at|ca|pa|ss)_[A-Za-z0-9]{20,}|hf_[A-Za-z0-9]{30,}"
    r"|dckr_pat_[\w-]{20,}|dop_v1_[0-9a-f]{32,}|(?:(?<=slack\.com/(?:services|triggers)/)"
    r"|(?<=slack-gov\.com/services/)|(?<=slack\.com/workflows/)|(?<=\.com/api/webhooks/))[\w/%+=-]{8,})",
    re.ASCII,
)
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{1,60}-----(?:[^-]*(?:-(?!----(?:BEGIN|END) )[^-]*)*"
    r"-----END [A-Z0-9 ]{1,60}-----|[\w+/=\s\\:,-]*)"  # or the end is cut off
)
_BEARER = re.compile(r"(?i)bearer\s+[a-z0-9._~+/=-]+")
# Values: the last group that matches is the value, without its quotes.
_BRACKETS = "(?!)"
for _ in range(4):
    _INSIDE = rf"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|{_BRACKETS}"
    _BRACKETS = rf"[(\[{{][^()\[\]{{}}\"']*(?:(?:{_INSIDE})[^()\[\]{{}}\"']*)*[)\]}}]"
_SIGNS = "|".join(
    rf"{sign}([^{sign}\\]*(?:(?:\\.|{sign}{sign})[^{sign}\\]*)*)(?={sign})" for sign in "\"'`"
)
_QUOTED = (  # also as JSON within a text, or cut off before the closing quote
    rf"(?s:(?:[uU]&|[bBeEfFnNrRuU]{{0,2}})(?:{_SIGNS}|(?P<escaped>\\{{1,8}}[\"'`])(.*?)(?=(?P=escaped))"
    r"|\\{0,8}[\"'`]([^\r\n]*)))"
)
_VALUE = (
    r"[|>][+\-0-9]{0,2}[ \t]{0,8}\r?\n(?:[ \t]*\r?\n)*(?P<indent>[ \t]+)(?=\S)"
    r"([^\n]*(?:\n(?:[ \t]*\r?\n)*(?P=indent)[^\n]*)*)"  # a block of YAML
    rf"|{_QUOTED}|((?s:{_BRACKETS})|[(\[{{][^\r\n]*)"
    r"|((?:(?i:basic|bearer|digest|negotiate|token)[ \t]{1,8})?"
    # A quote within a word is part of it; a comment of SQL is not.
    r"(?!/\*\s)[^\s;&\"'`]*(?:(?<=\w)[\"'`](?=\w)[^\s;&\"'`]*)*(?<![,.)\]}>]))"
)
_ARGUMENT = rf"{_QUOTED}|([^\s\"'`]+)"
_CONTENT = r"([^<]*?[^<\s])(?=(?:\s*\]\]>)?\s*<)"  # of an XML element
_LIST_ITEM = re.compile(r"[ \t]*-[ ]{1,8}(\S+)[ \t]*(?:\r?\n|$)")
_NOTHING = frozenset({"", "none", "null", MASK, "|", ">", "-", "(", "[", "{", "[]", "{}", "()"})
_Rule = tuple[str, Callable[[], tuple[re.Pattern[str], re.Pattern[str]]]]
"""A mark of such texts, what stands before a secret, and the secret; a group `name` is checked."""


def _rule(before: str, value: str = _VALUE, *, mark: str = "") -> _Rule:
    # Compiled when it is used: a process that executes a run imports all rules, and uses few.
    return mark, cache(lambda: (re.compile(before, re.DOTALL), re.compile(value)))


def _address_rules(stop: str) -> list[_Rule]:
    """Return the rules for users and passwords; a password may contain any of @ / ? #."""
    http = r"(?:[a-z0-9.-]*\+)?https?"
    # Schemes in whose path an @ is ordinary.
    paths = r"(?:abfss?|adl|az|dbfs|ftps?|gc?s|hdfs|oss|s3[an]?|sftp|ssh|wasbs?|webhdfs)"
    user = rf"(?!\[)[^{stop}/?#:]*:"
    password = rf"(?!\d*[/?#])(?:(?!://)[^{stop}]){{0,1024}}?"
    in_authority, before_query = rf"[^{stop}/?#]*", rf"(?:(?!://)[^{stop}?#])*"
    # What looks like a port is one in http; elsewhere an @ behind it makes it a password. In http
    # a user alone may be a token; elsewhere it may be part of the place.
    numeric = rf"{user}\d*/{before_query}"
    other = rf"(?!(?:{http}|{paths}|file)://)[a-z0-9+.-]*[a-z0-9]"
    return [
        _rule(before, rf"({user}{password}(?:@{rest})?|{alone})(?=@)", mark="://")
        for before, rest, alone in (
            (rf"(?i)(?<![a-z0-9+.-]){http}://", in_authority, in_authority),
            (rf"(?i)(?<![a-z0-9+.-]){paths}://", in_authority, numeric),
            (rf"(?i)(?<![a-z0-9+.-]){other}://", before_query, numeric),
        )
    ]


_IN_TEXT, _ADDRESSES = _address_rules(r"\s\"'"), _address_rules(r"\0")
_ORACLE = _rule(r"(?i)(?<!\w)jdbc:oracle:\w{1,16}:", r"([^\s/@\"']{1,128}/[^\s\"'@]{1,256})(?=@)")
_S, _DOLLARS = r"\s{0,8}", r"\$(?:[^\W\d]\w{0,62})?\$"
_TYPE = (  # of Python, in `SECRET_KEY: str = 'x'` and `def f(password: str)`
    r"(?:[\w.]{1,64}\.)?(?:Any|Dict|EnvVar|List|Optional|SecretStr|Union|bytes|dict|int|list|str)\b"
    r"(?:\[[^\]\n=]{0,200}\]{1,4})?(?:[ ]?\|[ ]?[\w.\[\]]{1,64}){0,8}[ ]{0,8}"
)
_IS = (
    r"(?:\\{0,8}[\"'`]\]?)?[ \t]{0,8}(?:=>|:=|==?|:(?!:|//)"
    rf"(?!{_S}{_TYPE}(?:[,)\r\n]|$))(?:{_S}{_TYPE}=(?!=))?){_S}"
)
_KEY, _NAME_BEHIND = r"(?<![\w.-])(?:name|key)", r"(?P<name>[\w./-]{1,128})(?![\w./-])"
_GIVEN = rf"{_KEY}{_IS}[bfru]{{0,2}}\\{{0,8}}[\"'`]?{_NAME_BEHIND}"
_BY = r"identified\s{1,8}(?:with\s{1,8}[^\s']{1,64}\s{1,8})?by(?:\s{1,8}(?:password|values))?"
_ACCOUNT = r"(?i:(?:create|alter)\s{1,8}(?:user|role)\s[^;]{1,256}?\s)"
_BLANK = r"(?:\s|/\*(?:[^*]{0,512}\*){1,64}?/|(?:--|#)[^\n]{0,512}\n)"
_SQL = _rule(  # A name, any of blanks, comments, = and :, after SET also TO and FOR u, a literal
    rf"(?i)(?:(?<!\w)(?:{_BY}|key_id){_BLANK}{{1,99}}|(?:(?<!\w)(?P<set>set\s)\s{{0,64}}"
    rf"(?:(?:global|local|session)\s{{1,64}})?|[(,]{_BLANK}{{0,99}}|(?=[\"`\[]\w{{1,64}}[\"`\]])"
    # Elsewhere a word that prose has too needs more than blanks behind it.
    r"|(?<![\w.-])(?=[\w.]{0,64}(?:_|passw)|\w{1,64}\s{0,64}(?:/\*|--|#|=|:)))"
    rf"[\"`\[]?(?P<name>(?!key_id\b)[a-z_][\w.]{{0,64}})(?:[\"`\]]|(?=\W))(?:{_BLANK}|=>?|:"
    r"|(?<=password)\(|(?(set)\b(?:to\b|for\s{1,64}[^\s=]{1,128})|(?!))){0,99})"
    # Not the user's, or: ValueError('wrong password ' + name)
    rf"(?<!\w)(?=(?:[en]|u&)?'[^\s),+;]|{_DOLLARS})",
    rf"({_DOLLARS})(?s:(.{{0,4096}}?)(?=\1)|(.*))|{_QUOTED}",
)
_TAG, _NAMED_TAG = r"<(?P<tag>[a-z][\w.:-]{0,128})", r"<(?P<tag>(?P<name>[a-z][\w.:-]{0,128}))"
_TO_CONTENT = rf"[^<>]{{0,1024}}>{_S}(?:<!\[CDATA\[)?(?=[^<]*<\\?/(?P=tag))"
_PROGRAM = r"(?<![\w-])(?:curl|docker +login|mariadb[\w-]*|mongo\w*|mysql\w*|sshpass)(?![\w.])"
_OPTION = _rule(  # curl -u user:x (and -U), mysql -px; a backslash continues a line
    rf"{_PROGRAM}(?:(?!{_PROGRAM})(?:[^\n]|(?<=\\)\n)){{0,512}}?(?<![\w-])(?:-p(?:\\{{0,8}}[\"'],)?"
    r"[ ]{0,4}(?![\s-]|\\\s)|(?:-[A-Za-z]{0,6}[uU]|--(?:proxy-)?user)(?:\\{0,8}[\"'],)?[ =]{0,4}\\?"
    rf"{_S}(?=\\{{0,8}}[\"']?[^\"'\s:]{{0,128}}:(?!//)))",
    _ARGUMENT,
)
_RULES = (
    *_IN_TEXT,
    _ORACLE,
    _rule(r"(?i)(?<!\w)bearer\s{1,8}", r"(?i)([a-z0-9._~+/=-]{6,})"),  # not: a bearer of news
    _SQL,
    # IDENTIFIED BY x, create user u identified by x, but not in 'rows identified by a key'
    _rule(rf"(?<!\w)(?:(?=IDENTIFIED)|{_ACCOUNT})(?i:{_BY}\s{{1,8}}(?!(?:password|values)\b))"),
    # <password value="x"/>, <password>x</password>, <entry key="password">x</entry>, <name> <value>
    _rule(rf"(?i){_NAMED_TAG}\s[^<>]{{0,1024}}?(?<![\w-])value{_S}={_S}(?=[\"'])", mark="<"),
    _rule(rf"(?i){_NAMED_TAG}(?![\w.:-]){_TO_CONTENT}", _CONTENT),
    _rule(rf"(?i){_TAG}\s[^<>]{{0,999}}?{_KEY}{_S}={_S}[\"']{_NAME_BEHIND}{_TO_CONTENT}", _CONTENT),
    _rule(rf"(?i)<(?:name|key)>{_S}{_NAME_BEHIND}{_S}<\\?/\w{{3,4}}>{_S}<value>{_S}", _CONTENT),
    # password=x, API key: x
    _rule(
        r"(?<![\w.-])(?P<name>(?:\w{1,20}[ \t](?=(?i:key|str|string)\b))?[\w.-]+"
        rf"(?<!Error)(?<!Exception)(?<!Warning)){_IS}"
    ),
    # What is assigned to a name whose type was taken for the value
    _rule(r"(?<![\w.-])(?P<name>[\w.-]+)[ \t]{0,8}: {0,8}\*\*\* {0,8}=(?!=) {0,8}", mark=MASK),
    # {"name": "PASSWORD", "value": "x"}, and the other way round
    _rule(rf"(?i){_GIVEN}(?:(?!{_KEY}(?![\w.-]))[^{{}}()\[\]<>]){{0,200}}?(?<![\w.-])value{_IS}"),
    _rule(
        rf"(?i)(?<![\w.-])value{_IS}(?=(?:[bfru]{{0,2}}(?P<sign>\\{{0,8}}[\"'])[^\"'\n]{{1,256}}?"
        rf"(?P=sign)|[^\s\"',;]{{1,256}})[\s,;\\\"']{{0,64}}{_GIVEN})"
    ),
    # A pair of texts: the name of a secret, the secret
    _rule(
        rf"[(\[]{_S}[bfru]{{0,2}}(?P<sign>\\{{0,8}}[\"'`])(?P<name>[\w.-]{{1,128}})(?P=sign){_S},"
        rf"{_S}(?=[bfru]{{0,2}}(?P<end>\\{{0,8}}[\"'`])(?:(?!(?P=end))(?:\\.|[^\\])){{1,1024}}"
        rf"(?P=end){_S},?{_S}[)\]])"
    ),
    # --password x
    _rule(
        rf"(?<![\w-])(?P<name>--[A-Za-z][\w-]*)(?:\\{{0,8}}[\"']{_S},{_S}|[\"']?[ \t]{{1,8}})"
        r"(?![\s,-]|\\\s)",
        _ARGUMENT,
        mark="--",
    ),
    *(_OPTION, _OPTION),  # the second finds another one of the same command
)
_URI = re.compile(  # a longer one is not an address, nor is a drive, a host, or prose
    r"(?is)([a-z][a-z0-9+.-]+):(?!(?://)?$|%[02]|\d+(?:/|$))"
    r"(//(?:[^\[\]@:/?#]*@)?(?:\[([0-9a-f:.]+)\]|[^\[\]@:/?#]*)(?::[0-9]*)?(?=[/?#]|$)|(?!//))(.{0,65536})"
)
_NOT_IN_URI = re.compile(r"%(?![0-9A-Fa-f]{2})|[^!-~]+|[\"<>\\^`{|}]")


def redacted(name: str, value: str) -> str:
    """Return a value without its secrets: `MASK` where the name, or a part of it, is a secret's.

    A JSON object or list that holds a secret is rewritten in compact form.
    """
    if not value or _is_secret(name):
        return MASK if value else value
    text = value.strip()
    if text.startswith(("{", "[")):
        with contextlib.suppress(ValueError, RecursionError):
            given = json.loads(text, object_pairs_hook=_unambiguous)
            masked = _masked_json("", given, 0)
            compact = json.dumps(masked, ensure_ascii=False, separators=(",", ":"))
            return value if masked == given else compact
    without = without_secrets(value)
    return MASK if without.strip() == MASK or _BEARER.fullmatch(text) else without


def secrets_within(value: object) -> frozenset[object]:
    """Return the keys or indexes of secrets that a mapping or a list names next to them."""
    if isinstance(value, Mapping):
        names = [inner for key, inner in value.items() if str(key).lower() in ("name", "key")]
        is_named = any(isinstance(name, str) and _is_secret(name) for name in names)
        return frozenset(key for key in value if is_named and str(key).lower() == "value")
    items = value if isinstance(value, (list, tuple)) else ()
    texts = [item if isinstance(item, str) else "" for item in items]
    options = _CURL_OPTIONS if any(text.endswith("curl") for text in texts) else ()
    found = set()
    for index, (name, text) in enumerate(pairwise(texts), 1):
        may_be_secret = not text.startswith("-") if name.startswith("-") else len(texts) == 2
        is_named = may_be_secret and " " not in name and _is_secret(name)
        found |= {index} if text and (is_named or name in options) else set()
    return frozenset(found)


def without_secrets(text: str) -> str:
    """Return free text, such as an error's message, a stack or SQL, with `MASK` for its secrets."""
    if len(text) < 16 and text.isalnum():
        return text
    return _without(_TOKEN.sub(MASK, _PEM.sub(MASK, text)), _RULES)


def without_user(uri: str) -> str:
    """Return an address without user and password; any other text as it is.

    A user alone stays, except in http: it may be part of the place (abfss://container@account).
    """
    masked = _without(uri, [*_ADDRESSES, _ORACLE])
    return masked.replace(f"://{MASK}@", "://").replace(f":{MASK}@", ":@")


def public_text(text: str) -> str:
    """Return a text with all secrets masked, and addresses in it without user and password."""
    return without_secrets(without_user(text))


def public_uri(text: str) -> str | None:
    """Return an address without secrets, valid by RFC 3986; None if the text is not an address."""
    text = public_text(text.strip()).replace(f"://{MASK}@", "://")
    match = _URI.fullmatch(_NOT_IN_URI.sub(lambda m: quote(m[0], errors="replace"), text))
    if match is None:
        return None
    scheme, authority, address, rest = match.groups()
    with contextlib.suppress(ValueError):
        ipaddress.IPv6Address(address or "::1")
        before, sign, fragment = rest.replace("[", "%5B").replace("]", "%5D").partition("#")
        return f"{scheme.lower()}:{authority}{before}{sign}{fragment.replace('#', '%23')}"
    return None


def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search("_".join(_WORD.findall(name)).lower()) is not None


def _without(text: str, rules: Iterable[_Rule]) -> str:
    for mark, patterns in rules:
        if mark not in text:
            continue
        before, value = patterns()
        kept, done = [], 0
        for match in before.finditer(text):
            if match.start() < done or not _is_secret(match.groupdict().get("name") or "secret"):
                continue
            found = _LIST_ITEM.match(text, match.end()) or value.match(text, match.end())
            while found:
                start, end = found.span(found.lastindex or 0)
                if text[start:end].lower() not in _NOTHING:
                    kept += [text[done:start], MASK]
                    done = end
                found = _LIST_ITEM.match(text, found.end()) if found.re is _LIST_ITEM else None
        text = "".join((*kept, text[done:])) if kept else text
    return text


def _unambiguous(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError  # Only the last of equal keys would be masked.
    return dict(pairs)


def _masked_json(name: str, value: object, depth: int) -> object:
    if value is None or isinstance(value, bool) or value in ("", [], {}):
        return value
    if depth > _DEEPEST or _is_secret(name):
        return MASK
    if not isinstance(value, (dict, list)):
        return redacted(name, value) if isinstance(value, str) else value
    secrets = secrets_within(value)
    masked = {
        key: MASK if inner and key in secrets else _masked_json(str(key), inner, depth + 1)
        for key, inner in (value.items() if isinstance(value, dict) else enumerate(value))
    }
    if isinstance(value, list):
        return list(masked.values())
    return {without_secrets(str(key)): inner for key, inner in masked.items()}
