"""What looks like a secret goes; what only talks of one stays."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drr_agent.redaction import MARK, redact

HEX = "5f4dcc3b5aa765d61d8327deb882cf99"
MIXED = "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5bC7d"

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
PEM = "-----BEGIN {0}-----\nMIIEpAIBAAKCAQEA\nx+y/z==\n-----END {0}-----"
KEYS = {
    "OpenAI": "sk-proj-" + MIXED,
    "OpenAI, as an error shows it": "sk-proj-********1234",
    "Anthropic": "sk-ant-api03-" + MIXED + "-xyz_AA",
    "OpenRouter": "sk-or-v1-" + HEX * 2,
    "Langfuse": "sk-lf-1f0e2d3c-aaaa-bbbb-cccc-1234567890ab",
    "Groq": "gsk_" + MIXED,
    "Hugging Face": "hf_" + MIXED[:34],
    "LangSmith": "lsv2_pt_" + HEX + "_1234567890",
    "xAI": "xai-" + MIXED * 2,
    "Perplexity": "pplx-" + MIXED,
    "NVIDIA": "nvapi-" + MIXED + "-_" + MIXED[:20],
    "Tavily": "tvly-dev-" + MIXED[:32],
    "Replicate": "r8_" + MIXED[:37],
    "Pinecone": "pcsk_" + MIXED,
    "AWS": "AKIAIOSFODNN7EXAMPLE",
    "AWS, for a session": "ASIAIOSFODNN7EXAMPLE",
    "Google": "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "Google, OAuth": "ya29.a0AfH6SMBx-" + MIXED,
    "Google, a client's": "GOCSPX-" + MIXED[:28],
    "GitHub": "ghp_" + MIXED[:36],
    "GitHub, an app's": "ghs_" + MIXED[:36],
    "GitHub, fine-grained": "github_pat_11AAAAAAA0" + MIXED,
    "GitLab": "glpat-" + MIXED[:20],
    "npm": "npm_" + MIXED[:36],
    "PyPI": "pypi-AgEIcHlwaS5vcmc" + MIXED,
    "Slack": "xoxb-123456789012-123456789012-" + MIXED[:24],
    "Stripe": "sk_live_" + MIXED[:24],
    "Stripe, restricted": "rk_test_" + MIXED[:24],
    "Stripe, a webhook's": "whsec_" + MIXED[:32],
    "SendGrid": "SG." + MIXED[:22] + "." + MIXED,
    "Twilio": "SK" + HEX,
    "Databricks": "dapi" + HEX,
    "DigitalOcean": "dop_v1_" + HEX * 2,
    "Vault": "hvs.CAESIJ" + MIXED,
    "Shopify": "shpat_" + HEX,
    "age": "AGE-SECRET-KEY-1" + MIXED.upper(),
    "a private key": PEM.format("RSA PRIVATE KEY"),
    "a private key of any kind": PEM.format("PRIVATE KEY"),
    "a private key of SSH": PEM.format("OPENSSH PRIVATE KEY"),
    "a private key of PGP": PEM.format("PGP PRIVATE KEY BLOCK"),
}
"""Made up, each in the form of its kind; they go wherever they stand."""


@pytest.mark.parametrize("key", [pytest.param(key, id=kind) for kind, key in KEYS.items()])
@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "use {} now",
        "it is '{}', he said",
        "KEY={}",
        '{{"k": "{}"}}',
        "({})",
        "a {}.\nb",
        "X_{}",
        "{}, and {} too",
    ],
)
def test_a_key_goes_and_nothing_else(key, around):
    assert redact(around.format(key, key)) == around.format(MARK, MARK)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("password: hunter2", "password: [redacted]", id="a password"),
        pytest.param("password=correcthorse", "password=[redacted]", id="of letters alone"),
        pytest.param("Password = P@ss!w0rd&more end", "Password = [redacted] end", id="of any marks"),
        pytest.param('password: "my dog, 7; x"', 'password: "[redacted]"', id="with spaces, in quotes"),
        pytest.param("passwd: 'x y z'", "passwd: '[redacted]'", id="in single quotes"),
        pytest.param("password: `hunter2`", "password: `[redacted]`", id="in Markdown"),
        pytest.param("**Password:** hunter2", "**Password:** [redacted]", id="in bold"),
        pytest.param("passphrase: correct-horse", "passphrase: [redacted]", id="a passphrase"),
        pytest.param("Uid=me;Pwd=hunter22;Db=x", "Uid=me;Pwd=[redacted];Db=x", id="a connection string"),
        pytest.param("DB_PASSWORD=hunter22", "DB_PASSWORD=[redacted]", id="an environment variable"),
        pytest.param("dbPassword: 'hunter22'", "dbPassword: '[redacted]'", id="in camel case"),
        pytest.param("password := 'hunter22'", "password := '[redacted]'", id="another language"),
        pytest.param(":password => 'hunter22'", ":password => '[redacted]'", id="and another"),
        pytest.param('{"password": "hunter22"}', '{"password": "[redacted]"}', id="JSON"),
        pytest.param(r"{\"password\": \"hunter22\"}", r"{\"password\": \"[redacted]\"}", id="JSON in JSON"),
        pytest.param(f"sent {JWT}, then", "sent [redacted], then", id="a JSON web token"),
        pytest.param(f'jwt="{JWT}"', 'jwt="[redacted]"', id="one in quotes"),
        pytest.param("my password is Hunter22", "my password is [redacted]", id="prose"),
        pytest.param("the API key was abc123def456", "the API key was [redacted]", id="prose of a key"),
        pytest.param("OPENAI_API_KEY=abcdef", "OPENAI_API_KEY=[redacted]", id="a key by its name"),
        pytest.param('apiKey: "abc def"', 'apiKey: "[redacted]"', id="a key in quotes"),
        pytest.param("x-api-key: 123456", "x-api-key: [redacted]", id="a header"),
        pytest.param("Incorrect API key provided: abc-def", "Incorrect API key provided: [redacted]", id="an error"),
        pytest.param("AWS_SECRET_ACCESS_KEY=wJalr/K7MD+x", "AWS_SECRET_ACCESS_KEY=[redacted]", id="AWS, by name"),
        pytest.param(f"AccountKey={MIXED}==;x", "AccountKey=[redacted];x", id="Azure"),
        pytest.param("client_secret=abcdefgh", "client_secret=[redacted]", id="a client secret"),
        pytest.param("webhook-secret: abcdefgh", "webhook-secret: [redacted]", id="a webhook's"),
        pytest.param("refresh_token: abcdefgh", "refresh_token: [redacted]", id="a token by its name"),
        pytest.param("accessToken='abcdefgh'", "accessToken='[redacted]'", id="a token in camel case"),
        pytest.param(f"token: {MIXED}", "token: [redacted]", id="a long token"),
        pytest.param(f'"secret": "{HEX}"', f'"secret": "{MARK}"', id="a long secret"),
        pytest.param("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [redacted]", id="basic"),
        pytest.param("-H 'Authorization: Bearer abcdefgh'", "-H 'Authorization: Bearer [redacted]'", id="curl"),
        pytest.param('{"Authorization": "token abcdefgh"}', '{"Authorization": "token [redacted]"}', id="a scheme"),
        pytest.param("sent Bearer abc.def now", "sent Bearer [redacted] now", id="a bearer"),
        pytest.param("Bearer 0123456789abcdef.", "Bearer [redacted].", id="a bearer and a full stop"),
        pytest.param("postgresql://me:hunter2@db:5432/x", "postgresql://me:[redacted]@db:5432/x", id="an address"),
        pytest.param("redis://:hunter2@db", "redis://:[redacted]@db", id="an address without a user"),
        pytest.param("http://me:p@ss:w@host/p?a@b", "http://me:[redacted]@host/p?a@b", id="with signs in it"),
        pytest.param(f"https://x.y/z?a=1&sig={HEX}&b=2", "https://x.y/z?a=1&sig=[redacted]&b=2", id="a signed address"),
        pytest.param(f"hooks.slack.com/services/T0/B0/{MIXED}", "hooks.slack.com/services/[redacted]", id="a hook"),
        pytest.param("123456789:AAH" + MIXED[:32] + " x", "123456789:[redacted] x", id="Telegram"),
        pytest.param("-----BEGIN PRIVATE KEY-----\nMII", "[redacted]", id="a private key that is cut off"),
        pytest.param(PEM.format("EC PRIVATE KEY") + "\nnext", "[redacted]\nnext", id="what follows a private key"),
    ],
)
def test_a_secret_goes_and_its_name_stays(text, expected):
    assert redact(text) == expected


INNOCENT = {
    "arithmetic": "14 + 3 * 12 - 9 = 41, so 41 / 1,000.5 = 0.0409... Answer: 41",
    "a long number": "The product is 12345678901234567890123456789012345678.",
    "prose": "She kept the secret and asked the desk clerk about a task-based, risk-free trial in Asia.",
    "prose of secrets": "Enter your password, then the API key; tokens expire. The password is incorrect.",
    "a question about them": "What is an access token? Is a primary key a secret key? Why did the password change?",
    "bearers": "The ring bearer should walk first. The standard bearer shouted. Bearer and guest.",
    "apples": "the token: 5 apples; secret: none; key: value",
    "a table of tokens": "input_tokens: 1024, output tokens: 2048, max_tokens=512, tokens: 33",
    "git": "commit 3f2a9c1e02ab4d5f6a7b8c9d0e1f2a3b4c5d6e7f",
    "hashes": f"sha256:{HEX * 2} md5={HEX} digest: {HEX}",
    "a UUID": "run 123e4567-e89b-12d3-a456-426614174000",
    "base64": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhg==",
    "addresses": "see https://example.com:8080/a?b=c#d, http://[::1]:80/x@y and mailto:me@example.com or me@x.org",
    "a mapping": 'cache = {"key": "user-2024-01-01-profile", "token_type": "JWT", "secret_santa": "Bob the second"}',
    "a public key": "-----BEGIN PUBLIC KEY-----\nMIIBIjANBg\n-----END PUBLIC KEY-----",
    "an environment variable of the shell": "PWD=/home/me/project OLDPWD=~/other pwd",
    "code that reads one": 'password = getpass.getpass("Password? ")\nkey = os.environ["OPENAI_API_KEY"]',
    "code that passes one": "login(user, password=password, api_key=api_key, token=self.token)",
    "code that makes one": "access_token = create_token(user)\nself.api_key = settings.api_key\nnew_password = rows[0]",
    "code that types one": "def login(password: str, api_key: Optional[str] = None, client_secret: SecretStr): ...",
    "code that compares": 'if password == other: raise ValueError("bad password")',
    "placeholders": "api_key=<your-api-key> password=${PASSWORD} PASSWORD=$DB_PASSWORD access_token={{ token }}",
    "a placeholder in an f-string": "url = f'{base}?page=1'; password={user.password}",
    "scikit-learn": "pip install sk-learn-extra; import sklearn; sk-learn-1.2",
    "names with dashes": "xai-explainable-methods-survey, task-1234567, hf_hub, ask-me-anything-2024, desk-top-99",
    "times and ratios": "At 10:00:00Z the ratio was 3:2, note: required, pass: 12, passage: the first verse",
    "a header by its name alone": "`--api-key` → `Authorization: Bearer`, or Authorization: required",
    "no word": "",
}


@pytest.mark.parametrize("text", [pytest.param(text, id=kind) for kind, text in INNOCENT.items()])
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


def test_one_text_of_all_of_them_loses_the_secrets_alone():
    text = "\n".join(f"{kind}: {text}" for kind, text in INNOCENT.items())
    assert redact(text) == text
    assert redact(text + "\n" + "\n".join(KEYS.values())) == text + ("\n" + MARK) * len(KEYS)


pieces = st.sampled_from(
    [*KEYS.values(), *INNOCENT.values(), "password", "api_key", "token", "Bearer ", ":", "=", " ", '"', "'", "\\", "@"]
)


@given(st.lists(pieces | st.text(max_size=8), max_size=8).map("".join))
@example(f"dapi{HEX}{KEYS['OpenAI']}")
def test_twice_is_once(text):
    once = redact(text)
    assert redact(once) == once


@pytest.mark.parametrize(
    "part",
    [
        *(
            "sk-",
            "sk-1",
            "eyJ-",
            "eyJa.",
            "SG.a",
            "hvs.-",
            "1:AA",
            "://a:",
            "://",
            "?token=a",
            "token=",
            "bearer ",
            "Pwd=",
        ),
        *("password", 'password:"', 'password=\\"*_', "api_key='", "authorization: ", "-----BEGIN PRIVATE KEY-----"),
    ],
)
def test_no_text_takes_long(part):
    """Three quarters of a megabyte that begin every pattern and end none."""
    started = time.perf_counter()
    redact(part * (750_000 // len(part)) + " private key")
    redact(part + "a-" * 375_000)
    redact(part + " " * 750_000)
    assert time.perf_counter() - started < 8, "some tenths of a second where the time is linear, else hours"
