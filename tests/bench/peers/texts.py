"""Texts as tokens and back, as the byte tokenizer has them (ids are bytes after pad, EOS and unk)."""

EOS = 1
FIRST_BYTE = 3


def encode(text):
    return [byte + FIRST_BYTE for byte in text.encode()] + [EOS]


def decode(ids):
    """Up to the EOS; ids that are no byte are left out."""
    ids = ids[:ids.index(EOS)] if EOS in ids else ids
    return bytes(i - FIRST_BYTE for i in ids if FIRST_BYTE <= i < FIRST_BYTE + 256).decode("utf-8", "replace")
