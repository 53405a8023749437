"""Secrets in text: found by their look, and replaced before it is written or shown.

A key that says whose it is goes wherever it stands; anything else goes where its name stands before it, as in
`DB_PASSWORD=…`. In doubt it goes: a word less in a training text costs little. Every pattern takes linear time.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

MARK = "[redacted]"

_KEYS = (
    ("sk-", r"sk-(?!learn)(?=[\w*.-]{0,80}[\d*])[\w*.-]{5,}[\w*]"),  # OpenAI, Anthropic, OpenRouter, Langfuse
    ("gsk_", r"gsk_\w{20,}"),  # Groq
    ("hf_", r"hf_[a-z0-9]{20,}"),  # Hugging Face
    ("lsv2_", r"lsv2_\w{20,}"),  # LangSmith
    ("xai-", r"xai-\w{20,}"),
    ("pplx-", r"pplx-\w{20,}"),  # Perplexity
    ("nvapi-", r"nvapi-[\w-]{40,}"),  # NVIDIA
    ("tvly-", r"tvly-(?:dev-|prod-)?\w{20,}"),  # Tavily
    ("r8_", r"r8_\w{20,}"),  # Replicate
    ("pcsk_", r"pcsk_\w{20,}"),  # Pinecone
    ("akia", r"(?-i:AKIA[0-9A-Z]{16})\b"),  # AWS
    ("asia", r"(?-i:ASIA[0-9A-Z]{16})\b"),
    ("aiza", r"AIza[\w-]{30,}"),  # Google
    ("ya29.", r"ya29\.[\w.-]{20,}[\w-]"),
    ("gocspx-", r"GOCSPX-[\w-]{20,}"),
    ("gh", r"gh[pousr]_\w{20,}"),  # GitHub
    ("github_pat_", r"github_pat_\w{20,}"),
    ("glpat-", r"glpat-[\w-]{16,}"),  # GitLab
    ("npm_", r"npm_[a-z0-9]{30,}"),
    ("pypi-", r"pypi-[\w-]{40,}"),
    ("xox", r"xox[abeoprs]-[\w-]{10,}"),  # Slack
    ("hooks.slack.com", r"(?P<kept>hooks\.slack\.com/(?:services|workflows|triggers)/)[\w/]{20,}"),
    (":aa", r"(?P<kept>\d{8,10}:)(?-i:AA)[\w-]{33}(?![\w-])"),  # Telegram
    ("k_", r"[sr]k_(?:live|test)_\w{16,}"),  # Stripe
    ("whsec_", r"whsec_[\w+/=]{20,}"),
    ("sg.", r"(?-i:SG)\.[\w-]{16,64}\.[\w-]{16,}"),  # SendGrid
    ("sk", r"(?-i:SK)[0-9a-f]{32}\b"),  # Twilio
    ("dapi", r"dapi[0-9a-f]{32}"),  # Databricks
    ("dop_v1_", r"dop_v1_\w{20,}"),  # DigitalOcean
    ("hvs.", r"hvs\.[\w-]{20,}"),  # Vault
    ("shpat_", r"shpat_\w{20,}"),  # Shopify
    ("age-secret-key-", r"AGE-SECRET-KEY-1\w{20,}"),
)
"""Keys that begin in a way of their own, each after a cheap mark without which it need not be searched for."""

_OPEN = r"[\\'\"`*_]{0,3}"
"""What may stand around a name: quotes, escaped ones, emphasis."""
_END = r"(?=[\s'\"`,;:)\]}]|\Z)"
_NO_VALUE = (
    r"(?!(?:self|this|os|process|env|config|settings|args|getpass)\."
    rf"|(?:none|null|true|false|string|secretstr|optional|required|notrequired|bearer|digest){_END}"
    rf"|[a-z_.]{{0,40}}(?:pass|secret|key|token|credential)[a-z_.]{{0,40}}{_END}"  # api_key=api_key
    r"|[a-z_][\w.]{0,80}[(\[]"
    r"|\$[{(]|(?-i:\$[A-Z_]+\b)|<[a-z]|\{\{?[\w.!]{0,40}\})"
)
"""Not a secret but the place of one: a call, a variable, a type, a placeholder."""
_GIVEN = rf"{_OPEN}(?:\s+provided)?\s{{0,9}}(?::=|=>|[:=])\s{{0,9}}[*_]{{0,2}}\s?"
_TOLD = r"\s+(?:is|was)\s+(?=\S{0,80}\d)"
"""Prose gives a secret only where a digit is in it: "the password is wrong" does not."""
_QUOTE = r"\\?['\"`]"
_QUOTED = rf"(?P<quote>{_QUOTE})(?:(?!(?P=quote))[^\n]){{4,500}}(?=(?P=quote))"
_BARE = rf"(?P<open>{_QUOTE})?{_NO_VALUE}[^\s'\"`,;}}]{{6,}}"
_LONG = rf"(?P<open>{_QUOTE})?{_NO_VALUE}(?=[\w.~+/=-]{{0,80}}\d)[\w.~+/=-]{{20,}}"
_NAMES = (
    ("pass", r"pass(?:word|wd|phrase)"),
    ("pwd", r"(?<![a-z])pwd(?!\s?[:=]\s?[\"']?[/~.])"),
    ("key", r"(?:api|access|account|secret|private|signing|encryption|subscription)[-_]?key|api key"),
    ("secret", r"(?:client|app|api|consumer|shared|webhook)[-_]?secret"),
    ("token", r"(?:access|auth|refresh|api|bearer|session|security|bot|id)[-_]?token"),
)
_BLOCK = r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"


def _patterns() -> Iterable[tuple[str, str]]:
    yield "private key", rf"{_BLOCK}.*?(?:{_BLOCK.replace('BEGIN', 'END')}|\Z)"
    for marker, key in _KEYS:
        yield marker, rf"(?<![a-z0-9]){key}"
    yield "eyj", r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"  # a JSON web token
    yield "://", r"(?P<kept>://[^\s:/@]*:)[^\s/'\"<>]+(?=@)"  # the password in an address
    yield "=", r"(?P<kept>[?&](?:sig|x-amz-signature|x-amz-security-token|token|key)=)(?=[^\s&]{0,80}\d)[^\s&#'\"]{16,}"
    yield "bearer", r"(?P<kept>\bbearer\s+)(?=[\w~+/=-]*[\d.]\w)[\w.~+/=-]{5,}[\w~+/=-]"
    scheme = rf"(?:{_QUOTE})?(?:(?:basic|bearer|token)\s+)?"
    yield "authorization", rf"(?P<kept>authorization{_GIVEN}{scheme}){_BARE}"
    for marker, name in _NAMES:
        yield marker, rf"(?P<kept>(?:{name})(?:{_GIVEN}|{_TOLD}))(?:{_QUOTED}|{_BARE})"
    for name in ("token", "secret"):
        yield name, rf"(?P<kept>(?<![a-z0-9]){name}{_GIVEN}){_LONG}"


_SIGNS = "-_.:=/"
"""Prose has few of them, and one sign is found much sooner than a word."""
_SECRETS = tuple(
    (next((sign for sign in _SIGNS if sign in marker), ""), marker, pattern) for marker, pattern in _patterns()
)
"""A sign and a word without which a pattern finds nothing, and the pattern."""


@lru_cache(maxsize=64)  # a question comes with each of its attempts, and an attempt is read for its id as well
def redact(text: str) -> str:
    """The text with `[redacted]` for what looks like a key, a password or a token."""
    while (hidden := _hide_secrets(text)) != text:
        text = hidden  # where one key goes, another that was glued to it comes to light
    return text


def _hide_secrets(text: str) -> str:
    lowered = text.lower()
    signs = {"", *(sign for sign in _SIGNS if sign in text)}
    for sign, marker, pattern in _SECRETS:
        if sign in signs and marker in lowered:
            text = re.sub(pattern, _hide, text, flags=re.IGNORECASE | re.DOTALL)  # compiled once, when first needed
    return text


def _hide(found: re.Match[str]) -> str:
    """The mark, after the name and the quote that stand before it."""
    groups = found.groupdict()
    return "".join(groups.get(name) or "" for name in ("kept", "quote", "open")) + MARK
