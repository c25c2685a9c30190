"""The encodings in which libraries and providers repeat secrets."""

from __future__ import annotations

import html
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote, quote_plus

SECRET_ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in capitals": str.upper,
    "in small letters": str.lower,
    "in an address": lambda key: quote(key, safe=""),
    "in a form": quote_plus,
    "in JSON": json.dumps,
    "in JSON in JSON": lambda key: json.dumps(json.dumps({"k": key})),
    "in JSON as PHP writes it": lambda key: json.dumps(key).replace("/", r"\/"),
    "in JSON with nothing but escapes": lambda key: "".join(f"\\u{ord(letter):04X}" for letter in key),
    "in a page": html.escape,
    "as bytes": lambda key: repr(key.encode()),
    "in hexadecimal": lambda key: key.encode().hex(),
    "with each byte escaped": lambda key: "".join(f"%{byte:02X}" for byte in key.encode()),
    "in base64": lambda key: b64encode(key.encode()).decode(),
    "in base64 of a header": lambda key: b64encode(f"Authorization: Bearer {key}\r\n".encode()).decode(),
    "in base64 of a user and a password": lambda key: b64encode(f"a:{key}".encode()).decode(),
    "in base64 for addresses": lambda key: urlsafe_b64encode(f"ab:{key}".encode()).decode(),
    "cut in the middle": lambda key: key[: -(-len(key) // 2)],
    "without its beginning": lambda key: key[len(key) // 2 :],
    "over two lines": lambda key: f"{key[: len(key) // 2]}\n  {key[len(key) // 2 :]}",
}
