"""names: every spelling of a subject gives the one that Python's cryptography prints, and what is none is refused."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from schemas.rules.names import refused_account, subject

KINDS = {
    "CN": NameOID.COMMON_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "L": NameOID.LOCALITY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "DC": NameOID.DOMAIN_COMPONENT,
    "UID": NameOID.USER_ID,
    "emailAddress": NameOID.EMAIL_ADDRESS,
    "serialNumber": NameOID.SERIAL_NUMBER,
}
values = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z"), include_characters=' \\",+;<>=#/'), min_size=1, max_size=12
)
parts = st.lists(st.tuples(st.sampled_from(sorted(KINDS)), values.filter(str.strip)), min_size=1, max_size=5)


def name_of(parts: list[tuple[str, str]]) -> x509.Name:
    """The name as a certificate has it."""
    return x509.Name([x509.NameAttribute(KINDS[kind], value) for kind, value in parts])


@given(parts)
def test_what_cryptography_prints_is_the_one_spelling(parts: list[tuple[str, str]]) -> None:
    printed = name_of(parts).rfc4514_string()
    assert subject(printed) == printed


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(KINDS)), values.filter(lambda v: v.strip() and "/" not in v and "\\" not in v)),
        min_size=1,
    )
)
def test_openssls_form_gives_the_same_subject(parts: list[tuple[str, str]]) -> None:
    slashes = "".join(f"/{kind}={value}" for kind, value in parts)
    assert subject(slashes) == name_of(parts).rfc4514_string()


@given(st.text(max_size=40))
def test_whatever_is_taken_is_taken_again_as_it_is(text: str) -> None:
    try:
        found = subject(text)
    except ValueError:
        return
    assert subject(found) == found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("/DC=ch/DC=cern/OU=Users/CN=ada/CN=Ada Lovelace", "CN=Ada Lovelace,CN=ada,OU=Users,DC=cern,DC=ch"),
        ("/O=GRID/CN=host/ce01.ihep.ac.cn", "CN=host/ce01.ihep.ac.cn,O=GRID"),
        ("/C=CN/O=HEP, Inc./CN=Zhang", "CN=Zhang,O=HEP\\, Inc.,C=CN"),
        (r"/C=FR/CN=Ren\xC3\xA9", "CN=René,C=FR"),
        ("/C=CN/emailAddress=ada@ihep.ac.cn", "1.2.840.113549.1.9.1=ada@ihep.ac.cn,C=CN"),
        ("/C=CN/Email=ada@ihep.ac.cn", "1.2.840.113549.1.9.1=ada@ihep.ac.cn,C=CN"),
        ("cn=Ada , o = CERN;c=CH", "CN=Ada,O=CERN,C=CH"),
        (r"CN=Ren\C3\A9,C=FR", "CN=René,C=FR"),
        (r"CN=a\2Cb", r"CN=a\,b"),
        ("CN=ada+UID=17,C=CH", "CN=ada+UID=17,C=CH"),
        ("2.5.4.3=ada,0.9.2342.19200300.100.1.25=ch", "CN=ada,DC=ch"),
    ],
)
def test_spellings_are_one(text: str, wanted: str) -> None:
    assert subject(text) == wanted


@pytest.mark.parametrize(
    "text",
    ["", "/", "ada", "/ada", "CN=", "/CN=", "CN=ada,", ",CN=ada", "CN=a\\", "CN=a\nb", 'CN="ada"', "CN=#0401", "colour=green",
     r"CN=\FF", r"/CN=\xFF", "CN=" + "a" * 2001],
)  # fmt: skip
def test_what_is_no_subject_is_refused_with_a_short_reason(text: str) -> None:
    with pytest.raises(ValueError, match="'") as refused:
        subject(text)
    assert len(str(refused.value)) < 300


def test_subjects_that_differ_in_a_letter_are_different() -> None:
    assert subject("CN=Ada") != subject("CN=ada")


def test_no_person_is_a_pilot_or_the_system() -> None:
    assert [name for name in ("ada", "pilots", "pilot-p1", "pilotbus", "guest", "guest1") if refused_account(name)] == [
        "pilot-p1",
        "pilotbus",
        "guest",
    ]
