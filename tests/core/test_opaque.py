"""Records of common types are told to be opaque without making their text, with the same verdict."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core.records import FAITHFUL_TYPES, has_opaque, is_opaque, make_records, parse_rdata, rdata_text
from tests.core.test_records import SAMPLES

WELL_FORMED = {rdtype: parse_rdata(rdtype, SAMPLES[rdtype]) for rdtype in sorted(FAITHFUL_TYPES)}


@given(
    st.sampled_from(sorted(FAITHFUL_TYPES)).flatmap(
        lambda rdtype: st.tuples(
            st.just(rdtype),
            st.one_of(
                st.binary(max_size=40),
                st.integers(0, 20).map(lambda cut: WELL_FORMED[rdtype][:cut]),
                st.binary(max_size=3).map(lambda more: WELL_FORMED[rdtype] + more),
            ),
        )
    )
)
def test_a_malformed_record_of_a_common_type_is_opaque_as_one_of_any_other(found: tuple[str, bytes]) -> None:
    rdtype, octets = found
    opaque = is_opaque(rdtype, rdata_text(rdtype, octets))
    assert has_opaque(rdtype, make_records(rdtype, 60, [octets])) is opaque


@pytest.mark.parametrize("octets", [b"", b"\x05abc"])
def test_a_text_of_no_strings_or_cut_short_is_opaque(octets: bytes) -> None:
    assert has_opaque("TXT", make_records("TXT", 60, [octets]))
