"""Signatures made and checked by hand agree with dnspython's, and nothing unproven is opened."""

import struct
import time

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TSIG
import dns.rrset
import dns.tsig
import pytest

from dnsguard.core.message import Message
from dnsguard.wire.encode import encode_question, encode_update
from dnsguard.wire.primary import DIGESTS, Primary, PrimaryRefused
from dnsguard.wire.tsig import FUDGE_S, UNSIGNED_MAX, NotAuthentic, Responses, Signed, Signer, rcode_of

SECRET = b"a secret for tests only"
NOW = int(time.time())  # dnspython compares with the real clock
QUERY = encode_question("www.example.test.", 1)


def primary(algorithm: str = "hmac-sha256", *, secret: bytes = SECRET, name: str = "updater.") -> Primary:
    return Primary("127.0.0.1", 53, name, algorithm, secret)


def key(algorithm: str = "hmac-sha256", *, secret: bytes = SECRET, name: str = "updater.") -> dns.tsig.Key:
    return dns.tsig.Key(name, secret, f"{algorithm}.")


def tsig(of: dns.tsig.Key, request: Signed, **changes: object) -> dns.rdtypes.ANY.TSIG.TSIG:
    blank = dns.rdtypes.ANY.TSIG.TSIG(
        dns.rdataclass.ANY, dns.rdatatype.TSIG, of.algorithm, NOW, FUDGE_S, b"", 0, dns.rcode.NOERROR, b""
    )
    original_id = int.from_bytes(request.wire[:2], "big")
    replaced = blank.replace(original_id=original_id, **changes)
    assert isinstance(replaced, dns.rdtypes.ANY.TSIG.TSIG)
    return replaced


def append(wire: bytes, of: dns.tsig.Key, record: dns.rdtypes.ANY.TSIG.TSIG) -> bytes:
    rdata = record.to_wire() or b""
    count = struct.unpack_from("!H", wire, 10)[0] + 1
    fixed = struct.pack("!HHIH", 250, 255, 0, len(rdata))
    return wire[:10] + struct.pack("!H", count) + wire[12:] + (of.name.to_wire() or b"") + fixed + rdata


def bare_response(request: Signed, *addresses: str, rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> bytes:
    response = dns.message.make_response(dns.message.from_wire(request.wire[:2] + QUERY[2:]))
    response.set_rcode(rcode)
    if addresses:
        response.answer.append(dns.rrset.from_text("www.example.test.", 60, "IN", "A", *addresses))
    return response.to_wire()


def signed_response(request: Signed, of: dns.tsig.Key, at: int = NOW, **changes: object) -> bytes:
    wire = bare_response(request, "192.0.2.1")
    record, _ = dns.tsig.sign(wire, of, tsig(of, request, **changes), at, request.mac, None, False)
    return append(wire, of, record)


@pytest.mark.parametrize("algorithm", DIGESTS)
def test_a_signed_update_holds_before_dnspython(algorithm: str) -> None:
    # dnspython compares with the clock of now, and the whole suite takes longer than a signature is valid.
    signed = Signer(primary(algorithm)).sign(encode_update(Message("example.test.", (), ())), time.time())
    parsed = dns.message.from_wire(signed.wire, keyring=key(algorithm))
    assert parsed.had_tsig
    assert parsed.mac == signed.mac


@pytest.mark.parametrize("algorithm", DIGESTS)
def test_a_signature_adds_as_many_octets_as_announced(algorithm: str) -> None:
    signer = Signer(primary(algorithm))
    assert len(signer.sign(QUERY, NOW).wire) == len(QUERY) + signer.octets


@pytest.mark.parametrize("algorithm", DIGESTS)
def test_a_response_signed_by_dnspython_opens(algorithm: str) -> None:
    signer = Signer(primary(algorithm))
    request = signer.sign(b"\x12\x34" + QUERY[2:], NOW)
    responses = Responses(signer, request)
    opened = responses.open(signed_response(request, key(algorithm)), NOW)
    assert opened == bare_response(request, "192.0.2.1")
    assert responses.proven


def test_every_changed_octet_of_a_response_is_noticed() -> None:
    signer = Signer(primary())
    request = signer.sign(QUERY, NOW)
    response = signed_response(request, key())
    for at in range(2, len(response)):  # what is signed is the original id, which the record repeats
        for flipped in (0x01, 0x80):
            forged = bytearray(response)
            forged[at] ^= flipped
            with pytest.raises(NotAuthentic):
                Responses(signer, request).open(bytes(forged), NOW)


def test_a_response_cut_short_is_not_opened() -> None:
    signer = Signer(primary())
    request = signer.sign(QUERY, NOW)
    response = signed_response(request, key())
    for octets in range(len(response)):
        with pytest.raises(NotAuthentic):
            Responses(signer, request).open(response[:octets], NOW)


def test_a_response_to_another_request_is_not_opened() -> None:
    signer = Signer(primary())
    request, other = signer.sign(QUERY, NOW), signer.sign(QUERY, NOW - 1)
    with pytest.raises(NotAuthentic, match="does not hold"):
        Responses(signer, request).open(signed_response(other, key()), NOW)


def test_an_unsigned_error_is_not_opened_and_its_rcode_is_named() -> None:
    signer = Signer(primary())
    request = signer.sign(QUERY, NOW)
    with pytest.raises(NotAuthentic, match=r"FORMERR.*not signed"):
        Responses(signer, request).open(bare_response(request, rcode=dns.rcode.FORMERR), NOW)


@pytest.mark.parametrize(
    ("error", "said"), [(16, "another secret"), (17, "does not know the TSIG key updater."), (22, "TSIG error 22")]
)
def test_a_refused_key_is_explained_for_people(error: int, said: str) -> None:
    signer = Signer(primary())
    request = signer.sign(QUERY, NOW)
    response = append(bare_response(request, rcode=dns.rcode.NOTAUTH), key(), tsig(key(), request, error=error))
    with pytest.raises(NotAuthentic, match=said):
        Responses(signer, request).open(response, NOW)


def test_a_server_whose_clock_differs_says_by_how_much() -> None:
    signer = Signer(primary())
    request = signer.sign(QUERY, NOW - 4000)
    response = signed_response(request, key(), NOW - 4000, error=18, other=struct.pack("!Q", NOW)[2:])
    with pytest.raises(NotAuthentic, match="BADTIME: the clocks differ: the server's is 4000 s ahead"):
        Responses(signer, request).open(response, NOW - 4000)


def test_a_forged_time_error_is_not_believed() -> None:
    signer = Signer(primary())
    request = signer.sign(QUERY, NOW)
    forger = key(secret=b"another")
    with pytest.raises(NotAuthentic, match="does not hold"):
        Responses(signer, request).open(signed_response(request, forger, error=18), NOW)


@pytest.mark.parametrize(("late_s", "opens"), [(FUDGE_S, True), (FUDGE_S + 1, False), (-FUDGE_S - 1, False)])
def test_a_response_is_opened_only_within_the_fudge(late_s: int, opens: bool) -> None:
    signer = Signer(primary())
    request = signer.sign(QUERY, NOW)
    response = signed_response(request, key())
    if opens:
        Responses(signer, request).open(response, NOW + late_s)
    else:
        with pytest.raises(NotAuthentic, match="clocks differ"):
            Responses(signer, request).open(response, NOW + late_s)


@pytest.mark.parametrize("other", [key(name="another."), key("hmac-sha384")])
def test_a_response_under_another_key_is_not_opened(other: dns.tsig.Key) -> None:
    signer = Signer(primary())
    request = signer.sign(QUERY, NOW)
    with pytest.raises(NotAuthentic, match="another key"):
        Responses(signer, request).open(signed_response(request, other), NOW)


def chain(request: Signed, signed: list[bool]) -> list[bytes]:
    """The messages of a transfer, signed (or not) as RFC 8945 section 5.3.1 says."""
    context = None
    wires = []
    for index, sign in enumerate(signed):
        wire = bare_response(request, f"192.0.2.{index % 256}")
        if sign:
            record, context = dns.tsig.sign(wire, key(), tsig(key(), request), NOW, request.mac, context, True)
            wire = append(wire, key(), record)
        else:
            assert context is not None
            context.update(wire)
        wires.append(wire)
    return wires


def test_a_chain_with_unsigned_messages_between_is_proven_at_its_end() -> None:
    signer = Signer(primary())
    request = signer.sign(QUERY, NOW)
    responses = Responses(signer, request)
    proven = []
    for wire in chain(request, [True, False, False, True, True]):
        responses.open(wire, NOW)
        proven.append(responses.proven)
    assert proven == [True, False, False, True, True]


def test_a_chain_with_a_message_left_out_does_not_hold() -> None:
    signer = Signer(primary())
    request = signer.sign(QUERY, NOW)
    first, _, third, last = chain(request, [True, False, False, True])
    responses = Responses(signer, request)
    responses.open(first, NOW)
    responses.open(third, NOW)
    with pytest.raises(NotAuthentic, match="does not hold"):
        responses.open(last, NOW)


def test_a_chain_is_given_up_when_no_signature_comes() -> None:
    signer = Signer(primary())
    request = signer.sign(QUERY, NOW)
    responses = Responses(signer, request)
    first, *unsigned = chain(request, [True] + [False] * (UNSIGNED_MAX + 1))
    responses.open(first, NOW)
    for wire in unsigned[:-1]:
        responses.open(wire, NOW)
    with pytest.raises(NotAuthentic, match="not signed"):
        responses.open(unsigned[-1], NOW)


def test_the_secret_is_never_shown() -> None:
    shown = repr(primary()) + str(primary()) + repr(Signer(primary()))
    assert "secret" not in shown


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"algorithm": "hmac-md5"}, "expected a TSIG algorithm"),
        ({"secret": b""}, "empty"),
        ({"port": 0}, "port"),
        ({"timeout_s": 0}, "time-out"),
        ({"timeout_s": float("nan")}, "time-out"),
        ({"in_flight_max": 0}, "in flight"),
        ({"key_name": "a..b"}, "name of the TSIG key"),
    ],
)
def test_a_primary_that_cannot_be_is_refused_in_words(changes: dict[str, object], said: str) -> None:
    fields: dict[str, object] = {
        "host": "127.0.0.1",
        "port": 53,
        "key_name": "k",
        "algorithm": "hmac-sha256",
        "secret": SECRET,
    }
    with pytest.raises(PrimaryRefused, match=said):
        Primary(**(fields | changes))  # type: ignore[arg-type]  # wrong values are the point


def test_key_names_are_absolute_and_lower_case() -> None:
    assert primary(name="Updater").key_name == "updater."


def test_the_response_code_has_its_name() -> None:
    assert rcode_of(bytes((0, 0, 0x80, 8))) == "NXRRSET"
    assert rcode_of(bytes((0, 0, 0x80, 15))) == "15"
