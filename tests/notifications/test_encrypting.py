"""Web push's encryption, against the standard's own example and a browser's side of it."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from app.notifications.senders.encrypting import MOST, decoded, encoded, encrypt
from tests.notifications.listener import Device

# RFC 8291, appendix A.
AUTH = decoded("BTBZMqHH6r4Tts7J_aSIgg")
SALT = decoded("DGv6ra1nlYgDCS1FRnbzlw")
SENT = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_"
    "yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def private(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(decoded(text), "big"), ec.SECP256R1())


def test_the_standard_s_example_comes_out_byte_for_byte() -> None:
    device = Device(private("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"), AUTH)
    ours = private("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")
    body = encrypt(b"When I grow up, I want to be a watermelon", device.point, AUTH, key=ours, salt=SALT)
    assert encoded(body) == SENT
    assert device.read(body) == b"When I grow up, I want to be a watermelon"


@pytest.mark.parametrize("size", [0, 1, MOST])
def test_a_browser_reads_what_was_encrypted_for_it(size: int) -> None:
    device = Device()
    body = encrypt(b"x" * size, device.point, device.auth)
    assert device.read(body) == b"x" * size
    assert len(body) <= 4096
    assert encrypt(b"x" * size, device.point, device.auth) != body


def test_what_no_push_service_takes_is_refused() -> None:
    device = Device()
    with pytest.raises(ValueError, match="at most"):
        encrypt(b"x" * (MOST + 1), device.point, device.auth)
    for point in (b"", b"\x04" + b"\0" * 64, device.point[:-1], b"\x02" + device.point[1:33]):
        with pytest.raises(ValueError):
            encrypt(b"x", point, device.auth) if len(point) != 33 else encrypt(b"x", point + b"!", device.auth)
