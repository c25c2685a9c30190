"""Identifiers in each API's format, drawn from a seeded generator."""

import uuid
from datetime import datetime
from random import Random
from string import ascii_letters, ascii_uppercase, digits

PUSH_ALPHABET = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
_PUSH_TIME_LENGTH = 8
_PUSH_RANDOM_LENGTH = 12


def make_push_id(milliseconds: int, random: Random) -> str:
    """Return a Firebase push id such as `-OPXQuIrkHuA2QZkY-44`, with its time."""
    time_prefix = ""
    for _ in range(_PUSH_TIME_LENGTH):
        milliseconds, digit = divmod(milliseconds, len(PUSH_ALPHABET))
        time_prefix = PUSH_ALPHABET[digit] + time_prefix
    return time_prefix + "".join(random.choices(PUSH_ALPHABET, k=_PUSH_RANDOM_LENGTH))


def make_extracta_batch_id(random: Random) -> str:
    """Return 25 letters and digits, such as `8pMpPs6SMPBpcnnznoaRz8bsj`."""
    return "".join(random.choices(ascii_letters + digits, k=25))


def make_extracta_file_id(random: Random) -> str:
    """Return 20 letters and digits (a guess: the format is not documented)."""
    return "".join(random.choices(ascii_letters + digits, k=20))


def make_atlas_batch_id(moment: datetime, random: Random) -> str:
    """Return an id such as `BATCH-30732-SIYKJ-20251121113228`, which ends in its time."""
    number = "".join(random.choices(digits, k=5))
    letters = "".join(random.choices(ascii_uppercase, k=5))
    return f"BATCH-{number}-{letters}-{moment:%Y%m%d%H%M%S}"


def make_file_uuid(random: Random) -> str:
    """Return a random UUID (version 4)."""
    return str(uuid.UUID(int=random.getrandbits(128), version=4))
