"""Secrets in text: found by their look, and replaced before it is written or shown."""

import re

MARK = "[redacted]"

_ASSIGNED = r"(?P<kept>\b{name}['\"]?(?:\s+provided)?\s*[:=]\s*['\"]?)[^\s'\",;}}]{{6,}}"
_SECRETS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (marker, re.compile(pattern, re.IGNORECASE | re.DOTALL))
    for marker, pattern in (
        ("sk-", r"\bsk-[\w*.-]{6,}"),  # OpenAI, Anthropic
        ("gsk_", r"\bgsk_\w{20,}"),  # Groq
        ("hf_", r"\bhf_[a-z0-9]{20,}"),  # Hugging Face
        ("lsv2_", r"\blsv2_\w{20,}"),  # LangSmith
        ("akia", r"\bAKIA[0-9A-Z]{16}\b"),  # AWS
        ("asia", r"\bASIA[0-9A-Z]{16}\b"),
        ("aiza", r"\bAIza[\w-]{30,}"),  # Google
        ("gh", r"\bgh[pousr]_\w{20,}"),  # GitHub
        ("github_pat_", r"\bgithub_pat_\w{20,}"),
        ("glpat-", r"\bglpat-[\w-]{16,}"),  # GitLab
        ("xox", r"\bxox[abeoprs]-[\w-]{10,}"),  # Slack
        ("_live_", r"\b[sr]k_live_\w{16,}"),  # Stripe
        ("eyj", r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),  # a JSON web token
        ("private key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"),
        ("bearer", r"(?P<kept>\bbearer\s+)[\w.~+/=-]{6,}"),
        ("://", r"(?P<kept>://[^\s:/@]+:)[^\s/@]+(?=@)"),  # the password in an address
        ("api", _ASSIGNED.format(name=r"api[-_ ]?key")),
        ("passw", _ASSIGNED.format(name=r"passw(?:or)?d")),
        ("secret", _ASSIGNED.format(name=r"(?:client|secret|access)[-_](?:secret|key|access[-_]key)")),
        ("token", _ASSIGNED.format(name=r"(?:access|auth|refresh|api)[-_]token")),
    )
)
"""What secrets look like, each after a cheap mark (in lower case) without which it need not be searched for."""


def redact(text: str) -> str:
    """The text with `[redacted]` for what looks like a key, a password or a token."""
    lowered = text.lower()
    for marker, pattern in _SECRETS:
        if marker in lowered:
            text = pattern.sub(_hide, text)
    return text


def _hide(found: re.Match[str]) -> str:
    return (found.groupdict().get("kept") or "") + MARK
