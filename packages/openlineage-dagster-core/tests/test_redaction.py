import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rfc3986_validator import validate_rfc3986

from openlineage_dagster_core.redaction import MASK, public_uri, redacted, without_secrets

any_text = st.text(st.characters(exclude_categories=()), max_size=200)
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow+/=\nabc\n-----END RSA PRIVATE KEY-----"
AWS_ID = "AKIAIOSFODNN7EXAMPLE"
GITHUB = "ghp_" + "a1B2" * 9
SLACK = "xoxb-1234567890-abcdef"


@pytest.mark.parametrize(
    "name",
    [
        "password", "DB_PASSWORD", "PGPASSWORD", "passwd", "MYSQL_PWD", "DB_PASS", "clientSecret",
        "secret", "token", "GITHUB_TOKEN", "authToken", "api-key", "apiKey", "APIKey", "api_keys",
        "AWS_ACCESS_KEY_ID", "privateKey", "credentials", "auth", "authorization", "conn_str",
        "connection-string", "SENTRY_DSN", "signature", "X-Amz-Signature", "cookie", "sessionKey",
        "session_key", "ops.load.credentials.user",
    ],
)  # fmt: skip
def test_what_has_the_name_of_a_secret_is_masked(name: str) -> None:
    assert redacted(name, "value") == MASK


@pytest.mark.parametrize(
    "name",
    [
        "author", "authors", "tokenizer", "authority", "compass", "pass_rate", "key", "keyboard",
        "monkey", "user", "secretary", "partition_key", "design", "connection", "passenger", "",
    ],
)  # fmt: skip
def test_what_only_sounds_like_a_secret_is_not(name: str) -> None:
    assert redacted(name, "value") == "value"


@pytest.mark.parametrize("value", [JWT, PEM, AWS_ID, GITHUB, SLACK, "Bearer abc", f" {AWS_ID}\n"])
def test_what_looks_like_a_secret_is_masked_whatever_its_name(value: str) -> None:
    assert redacted("note", value) == MASK


@pytest.mark.parametrize("secret", [JWT, PEM, AWS_ID, GITHUB, SLACK])
def test_a_secret_by_its_looks_is_masked_in_text(secret: str) -> None:
    assert without_secrets(f"before {secret} after") == f"before {MASK} after"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("postgres://user:pw@host:5432/db", "postgres://***@host:5432/db"),
        ("redis://:pw@host", "redis://***@host"),
        ("mysql://u:p@ss:w@rd@host/db", "mysql://***@host/db"),
        ("postgresql+psycopg2://u:p/w#x?y@host/db", "postgresql+psycopg2://***@host/db"),
        ("https://token@github.com/o/r", "https://***@github.com/o/r"),
        ("two: a://u:p@h b://u:p@h", "two: a://***@h b://***@h"),
        ("password=hunter2, user=x", "password=***, user=x"),
        ("Server=db;Pwd={a;b};Encrypt=yes", "Server=db;Pwd=***;Encrypt=yes"),
        ("AccountKey=abc==;Endpoint=x", "AccountKey=***;Endpoint=x"),
        ('{"token": "a\\"b", "x": 1}', '{"token": "***", "x": 1}'),
        ("{'api_key': 'abc', 'x': 1}", "{'api_key': '***', 'x': 1}"),
        ('"{\\"token\\": \\"abc\\"}"', '"{\\"token\\": \\"***\\"}"'),
        ("os.environ['TOKEN'] = 'abc'", "os.environ['TOKEN'] = '***'"),
        ("connect(password=b'it', user='x')", "connect(password=b'***', user='x')"),
        ("Authorization: Basic dXNlcjpw== next", "Authorization: *** next"),
        ("-H 'Authorization: Bearer abc.def'", "-H 'Authorization: ***'"),
        ("got Bearer abcdef123", "got Bearer ***"),
        ("API key: abc and more", "API key: *** and more"),
        ("ALTER USER x PASSWORD 'a b'", "ALTER USER x PASSWORD '***'"),
        ("run --password hunter2 --verbose", "run --password *** --verbose"),
        ("['--token', 'abc', 'x']", "['--token', '***', 'x']"),
        ("https://h/x?sig=abc&v=1", "https://h/x?sig=***&v=1"),
        ("error: password: hunter2", "error: password: ***"),
        ('"password": "cut off', '"password": "***'),
        ("-----BEGIN PRIVATE KEY-----\nMIIcutoff", "***"),
    ],
)
def test_a_secret_is_masked_in_its_surroundings(text: str, safe: str) -> None:
    assert without_secrets(text) == safe


@pytest.mark.parametrize(
    "text",
    [
        "ValueError: no such column: amount",
        "abfss://container@account.dfs.core.windows.net/path",
        "http://host:8080/users/me@example.org",
        "ssh://git@github.com/o/r",
        "postgres://host:5432/db",
        "TokenError: unexpected end",
        "the bearer of news",
        "password=None",
        "token::text",
        'File "/app/token.py", line 3, in read',
        "SELECT * FROM t WHERE key = 'a'",
        "mail me@example.org",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert without_secrets(text) == text


@given(any_text, any_text)
def test_no_text_breaks_it(name: str, value: str) -> None:
    redacted(name, value)
    without_secrets(value)


@given(before=any_text, password=st.from_regex(r"[a-z0-9@:]{8,20}", fullmatch=True))
def test_a_password_in_an_address_never_comes_out(before: str, password: str) -> None:
    assert (
        password not in without_secrets(f"{before} x://user:{password}@host/db").partition("x:")[2]
    )


@pytest.mark.parametrize(
    "piece",
    [
        "a", " ", "=", "://", "a://u:p/", "a://u:p@", 'token="', 'token=\\"', "token={", "token = ",
        "-----BEGIN X-----", "eyJ-", "eyJaaaaaaaa.", "password '", "bearer ", "--a ", "api key: ",
        "\\", '\\"', "a.b-", "xoxb-", "aA", ":1",
    ],
)  # fmt: skip
def test_a_megabyte_takes_no_time_to_speak_of(piece: str) -> None:
    text = piece * (2**20 // len(piece))
    start = time.perf_counter()
    without_secrets(text)
    # About half a second at most; quadratic time would be hours.
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("s3://bucket/ä b", "s3://bucket/%C3%A4%20b"),
        ("https://u:p@h/x?token=abc#f", "https://h/x?token=***"),
        ("https://h/100%/%41", "https://h/100%25/%41"),
        ("postgres://u:p/w@host/db", "postgres://host/db"),
        ("jdbc:sqlserver://h:1433;password=y", "jdbc:sqlserver://h:1433;password=***"),
        ("abfss://c@account/x", "abfss://c@account/x"),
        ("file:///a b", "file:///a%20b"),
        ("HTTP://[::1]:80/", "http://[::1]:80/"),
        (" dbfs:/x ", "dbfs:/x"),
    ],
)
def test_an_address_becomes_valid_and_public(text: str, uri: str) -> None:
    assert public_uri(text) == uri


@pytest.mark.parametrize(
    "text",
    ["", "x", "/a/b", "C:\\x", "localhost:5432/db", "note: see", "http://[zz]/", "k://a:1,b:2",
     "http://h:\uff11", "s3:", "http://h/" + "x" * 70000],
)  # fmt: skip
def test_what_is_no_address_gives_none(text: str) -> None:
    assert public_uri(text) is None


@given(any_text | any_text.map("s3://".__add__) | any_text.map("http://a".__add__))
def test_an_address_is_valid_or_none(text: str) -> None:
    uri = public_uri(text)
    assert uri is None or (validate_rfc3986(uri) and re.fullmatch(r"[!-~]+", uri))
