import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from openlineage_dagster_core.redaction import (
    MASK,
    public_uri,
    redacted,
    secrets_within,
    without_secrets,
    without_user,
)

any_text = st.text(st.characters(exclude_categories=()), max_size=200)
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow+/=\nabc\n-----END RSA PRIVATE KEY-----"
AWS_ID = "AKIAIOSFODNN7EXAMPLE"
GITHUB = "ghp_" + "a1B2" * 9
SLACK = "xoxb-1234567890-abcdef"
STACK = """Traceback (most recent call last):
  File "/app/token.py", line 3, in secrets
    return {key: read(d["token"]) for key in names if key != "password"}
                      ~^^^^^^^^^
KeyError: 'token'

The above exception was the direct cause of the following exception:
dagster._core.errors.DagsterExecutionStepExecutionError: Error occurred while executing op "load":
"""
LETTERS = "a1B2" * 12
# In two parts, so that no scanner of repositories takes them for real.
TOKENS = [
    "sk-" + "proj-" + LETTERS,
    "sk-" + LETTERS,
    "sk_" + "live_" + LETTERS,
    "rk_" + "live_" + LETTERS,
    "sk_" + "test_" + LETTERS,
    "AIza" + LETTERS[:35],
    "dapi" + "0a1b2c3d" * 4,
    "dapi" + "0a1b2c3d" * 4 + "-2",
    "hvs." + LETTERS,
    "npm_" + LETTERS[:36],
    "pypi-" + "AgEIcHlwaS5vcmc" + LETTERS,
    "SG." + LETTERS[:22] + "." + LETTERS[:43],
    "ya29." + LETTERS + "-_x",
    "sq0csp-" + LETTERS[:43],
    "sq0atp-" + LETTERS[:22],
    "glsa_" + LETTERS[:32] + "_0a1b2c3d",
    "glpat-" + LETTERS[:20],
    "shpat_" + "0a1b2c3d" * 4,
]


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


@pytest.mark.parametrize(
    "value", [JWT, PEM, AWS_ID, GITHUB, SLACK, "Bearer abc", f" {AWS_ID}\n", *TOKENS]
)
def test_what_looks_like_a_secret_is_masked_whatever_its_name(value: str) -> None:
    assert redacted("note", value) == MASK


@pytest.mark.parametrize("secret", [JWT, PEM, AWS_ID, GITHUB, SLACK, *TOKENS])
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
        (
            "env {'name': 'DB_PASSWORD', 'value': 'x', 'a': 1}",
            "env {'name': 'DB_PASSWORD', 'value': '***', 'a': 1}",
        ),
        ("{'value': 'x y', 'name': 'DB_PASSWORD'}", "{'value': '***', 'name': 'DB_PASSWORD'}"),
        (
            '"{\\"key\\": \\"TOKEN\\", \\"value\\": \\"x\\"}"',
            '"{\\"key\\": \\"TOKEN\\", \\"value\\": \\"***\\"}"',
        ),
        (
            "- name: A\n  value: a\n- name: TOKEN\n  value: x\n",
            "- name: A\n  value: a\n- name: TOKEN\n  value: ***\n",
        ),
        ("V1EnvVar(name='TOKEN', value='x')", "V1EnvVar(name='TOKEN', value='***')"),
        ('<param name="token" value="x"/>', '<param name="token" value="***"/>'),
        (
            "<name>fs.secret.key</name>\n<value>x</value>",
            "<name>fs.secret.key</name>\n<value>***</value>",
        ),
        ("('password', 'x')", "('password', '***')"),
        ('["password", "x\\"y"]', '["password", "***"]'),
        ('.option("password", "x", )', '.option("password", "***", )'),
        ("'[\\'password\\', \\'x\\']'", "'[\\'password\\', \\'***\\']'"),
        ("CREATE USER u IDENTIFIED BY 'x''y'", "CREATE USER u IDENTIFIED BY '***'"),
        ("create user u identified by x;", "create user u identified by ***;"),
        (
            "CREATE SECRET s (TYPE s3, KEY_ID 'abc', SECRET 'x''y', REGION 'eu');",
            "CREATE SECRET s (TYPE s3, KEY_ID '***', SECRET '***', REGION 'eu');",
        ),
        ("create secret (type azure,\n token 'abc')", "create secret (type azure,\n token '***')"),
        (
            "copy t from 's3://a' access_key_id 'abc' secret_access_key 'def' session_token 'ghi'",
            "copy t from 's3://a' access_key_id '***' secret_access_key '***' session_token '***'",
        ),
        (
            "CREATE STAGE s CREDENTIALS = (AWS_KEY_ID = 'abc' AWS_SECRET_KEY = 'def')",
            "CREATE STAGE s CREDENTIALS = ***",
        ),
        ("CREATE MASTER KEY; SAS_TOKEN 'sv=1&sig=a'", "CREATE MASTER KEY; SAS_TOKEN '***'"),
        ('ALTER USER u IDENTIFIED BY "x y" ACCOUNT', 'ALTER USER u IDENTIFIED BY "***" ACCOUNT'),
        ("IDENTIFIED WITH a BY 'x'", "IDENTIFIED WITH a BY '***'"),
        ("GRANT a TO u IDENTIFIED BY x", "GRANT a TO u IDENTIFIED BY ***"),
        ("IDENTIFIED BY 'cut", "IDENTIFIED BY '***"),
        ("SET PASSWORD FOR 'u' = PASSWORD('x')", "SET PASSWORD FOR 'u' = PASSWORD('***')"),
        ("ALTER ROLE u PASSWORD E'a b'", "ALTER ROLE u PASSWORD E'***'"),
        ("PASSWORD U&'a b' VALID", "PASSWORD U&'***' VALID"),
        ("password = N'a b', x", "password = N'***', x"),
        ("ALTER ROLE u PASSWORD $$a b's$$;", "ALTER ROLE u PASSWORD $$***$$;"),
        ("PASSWORD $tag$a $$ b\nc$tag$ x", "PASSWORD $tag$***$tag$ x"),
        ("PASSWORD $t$cut off\nx", "PASSWORD $t$***"),
        ("TOKEN = $$a b$$", "TOKEN = ***"),
        ("CREATE SECRET s (\"SECRET\" 'a b')", "CREATE SECRET s (\"SECRET\" '***')"),
        ("`secret`'a b'", "`secret`'***'"),
        ("[token] 'a b'", "[token] '***'"),
        ("SECRET /* it's */ 'a b'", "SECRET /* it's */ '***'"),
        ("SECRET -- it's\n 'a b'", "SECRET -- it's\n '***'"),
        ("SECRET # it's\n 'a b'", "SECRET # it's\n '***'"),
        ("SECRET/**/'a b'", "SECRET/**/'***'"),
        ("SECRET = /* it's */ 'a b'", "SECRET = /* it's */ '***'"),
        ("(TYPE s3, -- c\n  SECRET\n    'a b')", "(TYPE s3, -- c\n  SECRET\n    '***')"),
        ("PASSWORD" + " " * 40 + "'a b'", "PASSWORD" + " " * 40 + "'***'"),
        ("SET s3_secret_access_key TO 'a b'", "SET s3_secret_access_key TO '***'"),
        ("set local app.token to e'a b'", "set local app.token to e'***'"),
        ("ALTER ROLE u SET token /* c */ TO 'a b'", "ALTER ROLE u SET token /* c */ TO '***'"),
        ("SET PASSWORD FOR u = 'a b'", "SET PASSWORD FOR u = '***'"),
        ("SET PASSWORD FOR 'u'@'%' = 'a b'", "SET PASSWORD FOR 'u'@'%' = '***'"),
        ("MASTER_SYMMETRIC_KEY 'a b'", "MASTER_SYMMETRIC_KEY '***'"),
        ("MASTER_KEY='a b'", "MASTER_KEY='***'"),
        (
            "ENCRYPTION = (TYPE = 'AWS_CSE' MASTER_KEY = 'a b')",
            "ENCRYPTION = (TYPE = 'AWS_CSE' MASTER_KEY = '***')",
        ),
        ("ENCRYPTION = (MASTER_KEY = 'a b')", "ENCRYPTION = (MASTER_KEY = '***')"),
        ("curl -u user:pass https://h", "curl -u *** https://h"),
        ("curl -su 'user:pa ss' https://h", "curl -su '***' https://h"),
        ("curl \\\n  --user user:pass \\\n  https://h", "curl \\\n  --user *** \\\n  https://h"),
        ("['curl', '-u', 'user:pass']", "['curl', '-u', '***']"),
        ("mysql -h db -psecret -u u", "mysql -h db -p*** -u u"),
        ("mysqldump -p secret db", "mysqldump -p *** db"),
        ("jdbc:oracle:thin:user/p/w@host:1521", "jdbc:oracle:thin:***@host:1521"),
        ("jdbc:oracle:thin:user/pw@//host/x", "jdbc:oracle:thin:***@//host/x"),
        ("<password>x</password>", "<password>***</password>"),
        ('<db:password a="b"> x\n</db:password>', '<db:password a="b"> ***\n</db:password>'),
        ("<password><![CDATA[x]]></password>", "<password><![CDATA[***]]></password>"),
        ('<db user="u" password="x"/>', '<db user="u" password="***"/>'),
        ('<password value="x"/>', '<password value="***"/>'),
        ('<entry key="password">x</entry>', '<entry key="password">***</entry>'),
        ("a:\n  password: |\n    x\n    y\n  b: c", "a:\n  password: |\n    ***\n  b: c"),
        ("password: >-\n  x\nb: c", "password: >-\n  ***\nb: c"),
        ("SECRET_KEY: str = 'x'", "SECRET_KEY: str = '***'"),
        ("TOKEN: Optional[str] = x", "TOKEN: Optional[str] = ***"),
        ("TOKEN: Key = 'x'", "TOKEN: *** = '***'"),
        ("credentials=('u', 'x'), a=1", "credentials=***, a=1"),
        ("credentials=('u', ('x', 'y)')) b", "credentials=*** b"),
        ("password: ['x']", "password: ***"),
        ("passwords: ['x', 'cut", "passwords: ***"),
        ("passwords:\n  - x\n  - y\nb: c", "passwords:\n  - ***\n  - ***\nb: c"),
        ("credentials={'a': {'b': 1}, 'c': 'x'}", "credentials=***"),
        ("UID=sa;PWD=x;", "UID=sa;PWD=***;"),
        ("PWD=x'y;A=b", "PWD=***;A=b"),
        (
            "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXX",
            "https://hooks.slack.com/services/***",
        ),
        ("SharedAccessSignature=sv=2021&sig=a%2Fb;X=y", "SharedAccessSignature=***&sig=***;X=y"),
        (
            "https://a.blob.core.windows.net/c?sv=1&sig=a%2Fb%3D",
            "https://a.blob.core.windows.net/c?sv=1&sig=***",
        ),
        ("s3://K:a/b@bucket/c@d", "s3://***@bucket/c@d"),
        ("postgresql://user:123/w@host/db", "postgresql://***@host/db"),
        ("postgresql://user:p@s/w@host/db?a=b@c", "postgresql://***@host/db?a=b@c"),
        ('["--token","x"]', '["--token","***"]'),
        ("--password 'x y' -v", "--password '***' -v"),
        ("--password x,y -v", "--password *** -v"),
    ],
)
def test_a_secret_is_masked_in_its_surroundings(text: str, safe: str) -> None:
    assert without_secrets(text) == safe
    assert without_secrets(safe) == safe


@pytest.mark.parametrize(
    ("value", "safe"),
    [
        ('{"a": [{"name": "A_TOKEN", "value": "x"}]}', '{"a":[{"name":"A_TOKEN","value":"***"}]}'),
        ('[{"value": {"a": 1}, "key": "TOKEN"}]', '[{"value":"***","key":"TOKEN"}]'),
        ('[{"Name": "TOKEN", "Value": 5}]', '[{"Name":"TOKEN","Value":"***"}]'),
        (' {"a": {"password": ["x", 1]}, "ä": 1.5}\n', '{"a":{"password":"***"},"ä":1.5}'),
        ('["run", "--token", "x", "--verbose"]', '["run","--token","***","--verbose"]'),
        ('["/bin/curl", "-u", "a:b"]', '["/bin/curl","-u","***"]'),
        ('["password", "x"]', '["password","***"]'),
        ('{"url": "x://u:p@h/d", "x://u:p@h": 1}', '{"url":"x://***@h/d","x://***@h":1}'),
        ('{"a": "{\\"token\\": \\"x y\\"}"}', '{"a":"{\\"token\\":\\"***\\"}"}'),
        ('{"token": "x", "token": ""}', '{"token": "***", "token": ""}'),
        ('{"token": "cut', '{"token": "***'),
        ('{"a": ' * 70 + "1" + "}" * 70, '{"a":' * 65 + '"***"' + "}" * 65),
    ],
)  # fmt: skip
def test_a_value_that_is_json_loses_its_secrets(value: str, safe: str) -> None:
    assert redacted("dagster-k8s/config", value) == safe
    assert redacted("dagster-k8s/config", safe) == safe


@pytest.mark.parametrize(
    "value",
    [
        ' { "name": "REGION",  "value": "eu" }',
        '{"name": "TOKEN", "value": null, "token": "", "use_token": true}',
        '["token", "user", "mail"]',
        '[1.50, 1e3, "--verbose", "x", NaN]',
        "[a] b",
        "[" * 5000,
        "{}",
    ],
)
def test_json_without_a_secret_stays_as_it_is(value: str) -> None:
    assert redacted("note", value) == value


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("token"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["name", "value", "a", "token"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values)
def test_json_stays_json_and_masking_it_again_changes_nothing(value: object) -> None:
    once = redacted("note", json.dumps(value))
    if isinstance(value, (dict, list)):
        json.loads(once)
    assert redacted("note", once) == once


def test_a_secret_is_known_by_what_stands_beside_it() -> None:
    assert secrets_within({"name": "DB_PASSWORD", "value": "x", "a": "b"}) == {"value"}
    assert secrets_within({"VALUE": "x", "Key": "token"}) == {"VALUE"}
    assert secrets_within(["a", "--token", "x", "--password", "-v"]) == {2}
    assert secrets_within(("token", "x")) == {1}
    for value in ({"name": 1, "value": "x"}, ["token", "a", "b"], {1: 2}, [1, 2], "token", None):
        assert secrets_within(value) == frozenset()


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
        "SELECT token_count FROM t",
        "SELECT u.name, u.key FROM users u WHERE name = 'token' AND value > 5",
        "SELECT secret, token FROM t -- 'x'",
        "SELECT secret FROM t WHERE a = 'x' AND password IS NULL AND key_id = 5",
        "SELECT secret -- it's\nFROM t WHERE password LIKE 'a%' OR password <> 'b'",
        "SELECT secret /* 'x' */ FROM t WHERE token IN ('x', 'y') AND key_id = 'x'",
        "SELECT secret, 'x' AS \"token\", 'y' FROM t ORDER BY token",
        "GRANT SELECT ON secret_orders TO 'ada'@'%'",
        "COMMENT ON COLUMN t.password IS 'the hash'",
        "INSERT INTO t (password, token) VALUES ($1, $2)",
        "SET search_path TO 'secret'",
        "a message: \"token 'orders' is not valid\"",
        "the client_secret's owner and the user's token's",
        "the password is required",
        "KeyError: 'password'",
        "KeyError: ('password', 'user', 'mail')",
        "author: ada",
        "rows identified by customer_id",
        "a user identified by a name",
        "the secret 'orders' is not there",
        "select 'a' as secret, 'b' as token",
        "raise ValueError('wrong password ' + name + ' of')",
        "def f(password: str, token: str | None = None) -> None:",
        "| password: | token: |",
        "# Login\n\nType `login <password> <host>`, then press *Enter*.",
        "<name>token</name><title>x</title>",
        "name: token",
        "{'name': 'REGION', 'value': 'eu'}, {'name': 'DB_PASSWORD', 'value_from': None}",
        "docker run -u 1000:1000 image",
        "psql -p 5432 -U ada",
        "mkdir -p /a/b && cp -p a b",
        "jdbc:oracle:thin:@host:1521:service",
        "https://host:8443/a@b/c",
        "git clone git+https://github.com/o/r.git@v1",
        "sk-fading-circle-of-many-words-and-more",
        "npm_config_registry_of_the_whole_company",
        "pypi-mirror-of-the-whole-company-in-europe",
        "glass-container-of-the-whole-company",
        "dapinder SG.north.south AIzawa hvs.short",
        STACK,
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert without_secrets(text) == text


@given(any_text, any_text)
def test_no_text_breaks_it(name: str, value: str) -> None:
    redacted(name, value)
    without_secrets(value)
    without_user(value)


LONG = 2**18
"""Characters of a text that takes many minutes where a pattern takes quadratic time."""


@pytest.mark.parametrize("beginning", ["a://u:", "token='", "('token', '", "<token>", "curl -u a:"])
def test_a_long_secret_takes_no_time_either(beginning: str) -> None:
    start = time.process_time()
    redacted("note", beginning + "x" * LONG)
    without_user(beginning + "x" * LONG)
    assert time.process_time() - start < 20


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
        "\\", '\\"', "a.b-", "xoxb-", "aA", ":1", "pypi-", "sk-", "SG.", "ya29.a.", "name=token ",
        "name=token value", "value=", "value=a,name=token,", 'value="', "value='name=",
        "('token', '", "('token', \"", "['a',", "token=(\n", "token={\n", "token=['", "token: |\n ",
        "token: |\n\n", "token:\n- a\n", "token: str = ", "token: a = ", "token: str[", "curl ",
        "curl -u ", "curl -u a:", "curl\\", "-u ", "mysql -p '", "<a", "<a ", "<token>",
        "<name>token</name>", "<token a='", "IDENTIFIED BY ", "identified by '", "password ''",
        "password '\\'", "create user a ", "jdbc:oracle:thin:", "jdbc:oracle:thin:a/", "a://u:1/",
        "a://u:1@/", "a://u@", "http://u:p/", "hooks.slack.com/services/", "[", '["', '{"a":',
        '["a",', "p'w", "token=a'", "--token '", '--token", "', "token={'\"\n", "'token={",
        "name=\"token\" value=\"\\", "password: '\\\\", "https://u:p@h/?sig=",
        "set ", "set token for ", "set token to ", "set token for a to ", "secret /*", "secret --",
        "secret /**/", "secret --\n", '"secret" ', "(/*", "(/**/", ", --\n", "password $",
        "password $$", "password $a$ ", "_", "a_", "secret := ", "secret\n", "password(", "SET\n",
    ],
)  # fmt: skip
def test_a_long_text_takes_no_time_to_speak_of(piece: str) -> None:
    text = piece * (LONG // len(piece))
    start = time.process_time()
    redacted("note", text)
    without_user(text)
    # A fraction of a second; quadratic time would be many minutes.
    assert time.process_time() - start < 20


def test_many_quotes_that_do_not_end_take_no_time_to_speak_of() -> None:
    text = " ".join(f"password $a{number}$" for number in range(LONG // 20))
    start = time.process_time()
    assert without_secrets(text) == f"password $a0${MASK}"
    assert time.process_time() - start < 20


@pytest.mark.parametrize(
    ("given", "uri"),
    [
        ("s3://AKIAIOSFODNN7EXAMPLE:wJalr/XUtn@bucket/path", "s3://bucket/path"),
        ("s3://key:a/b@bucket/c@d/e", "s3://bucket/c@d/e"),
        ("s3://key:a@b@bucket/c@d", "s3://bucket/c@d"),
        ("postgresql://user:123/w@host/db", "postgresql://host/db"),
        ("postgresql://user:123@host/db", "postgresql://host/db"),
        ("postgresql://u:p@s/w@host:5432/db?a=b@c", "postgresql://host:5432/db?a=b@c"),
        ("postgresql://u:p w'x@host/db", "postgresql://host/db"),
        ("postgresql://user@host/db", "postgresql://user@host/db"),
        ("postgresql://host:5432/db", "postgresql://host:5432/db"),
        ("postgresql://host:5432/db?mail=a@b", "postgresql://host:5432/db?mail=a@b"),
        ("jdbc:postgresql://u:p@host/db", "jdbc:postgresql://host/db"),
        ("jdbc:oracle:thin:user/pw@host:1521:x", "jdbc:oracle:thin:@host:1521:x"),
        ("https://host:8443/a@b/c", "https://host:8443/a@b/c"),
        ("https://user:pw@host", "https://host"),
        ("https://user:p/w@host/x", "https://host/x"),
        ("https://user@host", "https://host"),
        ("HTTPS://git@host/a@b", "HTTPS://host/a@b"),
        ("git+https://token@github.com/o/r@v1", "git+https://github.com/o/r@v1"),
        ("ssh://git@github.com/o/r", "ssh://git@github.com/o/r"),
        ("abfss://container@account.dfs.core.windows.net/x", "abfss://container@account.dfs.core.windows.net/x"),
        ("http://[::1]:80/a@b", "http://[::1]:80/a@b"),
        ("file:///a:b/c@d", "file:///a:b/c@d"),
        ("file://C:/a@b", "file://C:/a@b"),
        ("me@example.org", "me@example.org"),
        ("://", "://"),
        ("", ""),
    ],
)  # fmt: skip
def test_an_address_loses_its_user_and_password(given: str, uri: str) -> None:
    assert without_user(given) == uri
    assert without_user(uri) == uri


@given(st.from_regex(r"[a-zA-Z0-9/@]{8,20}", fullmatch=True))
def test_no_password_with_a_slash_or_an_at_stays_in_the_address_of_a_database(
    password: str,
) -> None:
    assert without_user(f"postgresql://user:{password}@host/db") == "postgresql://host/db"
    assert public_uri(f"postgresql://user:{password}@host/db") == "postgresql://host/db"


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("s3://key:wJalr/XUtn@bucket/path", "s3://bucket/path"),
        ("postgresql://user:123/w@host/db", "postgresql://host/db"),
        ("https://git@host/x", "https://host/x"),
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


IS_URI = Draft202012Validator({"format": "uri"}, validate_formats=True)


@given(any_text | any_text.map("s3://".__add__) | any_text.map("http://a".__add__))
def test_an_address_is_valid_or_none(text: str) -> None:
    uri = public_uri(text)
    assert uri is None or (IS_URI.is_valid(uri) and re.fullmatch(r"[!-~]+", uri))
