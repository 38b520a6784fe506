"""UMLS files in Rich Release Format, generated: a licensed release is nobody's test fixture."""

import gzip

import pytest

from raddiag_hf.knowledge.corpus.concept import KnowledgeSourceError
from raddiag_hf.knowledge.corpus.umls import read_umls

MRCONSO = """\
C0032326|ENG|P|L1|PF|S1|Y|A1||M1|D1|MSH|MH|D011030|Pneumothorax|0|N||
C0032326|ENG|S|L2|PF|S2|Y|A2||M2|D2|SNOMEDCT_US|SY|36118008|Collapsed lung, traumatic|9|N||
C0032326|SPA|P|L3|PF|S3|Y|A3||M3|D3|MSHSPA|MH|D011030|Neumotórax|3|N||
C0032326|ENG|S|L4|PF|S4|Y|A4||M4|D4|MSH|PM|D011030|Pneumothorax obsolete|0|O||
C0032227|ENG|P|L5|PF|S5|Y|A5||M5|D5|MSH|MH|D010995|Pleural Diseases|0|N||
C0004057|ENG|P|L6|PF|S6|Y|A6||M6|D6|MSH|MH|D001241|Aspirin|0|N||
"""
MRDEF = """\
C0032326|A1|AT1||MSH|Air in the pleural cavity.|N||
C0032326|A3|AT2||MSHSPA|Aire en la cavidad pleural.|N||
C0032326|A1|AT3||MSH|A suppressed definition.|Y||
"""
MRREL = """\
C0032326|A1|AUI|PAR|C0032227|A5|AUI||R1||MSH|MSH|||N||
C0032227|A5|AUI|CHD|C0032326|A1|AUI||R2||MSH|MSH|||N||
C0032326|A1|AUI|PAR|C9999999|A9|AUI||R3||MSH|MSH|||N||
C0032326|A1|AUI|RO|C0004057|A6|AUI||R4||MSH|MSH|||N||
"""
MRSTY = """\
C0032326|T047|B2.2.1.2.1|Disease or Syndrome|AT1||
C0032227|T047|B2.2.1.2.1|Disease or Syndrome|AT2||
C0004057|T121|A1.4.1.1.1|Pharmacologic Substance|AT3||
"""


@pytest.fixture
def release(tmp_path):
    for name, text in (("MRCONSO", MRCONSO), ("MRDEF", MRDEF), ("MRREL", MRREL)):
        (tmp_path / f"{name}.RRF").write_text(text, "utf-8")
    return tmp_path


def test_english_names_definitions_and_parents_are_kept(release):
    concepts = {concept.id: concept for concept in read_umls(release)}
    pneumothorax = concepts["C0032326"]
    assert pneumothorax.term == "Pneumothorax"
    assert pneumothorax.synonyms == ("Collapsed lung, traumatic",)
    assert pneumothorax.descriptions == ("Air in the pleural cavity.",)
    assert pneumothorax.parents == ("C0032227",)
    assert set(concepts) == {"C0032326", "C0032227", "C0004057"}


def test_semantic_types_keep_disorders_only(release):
    (release / "MRSTY.RRF").write_text(MRSTY)
    assert [concept.id for concept in read_umls(release)] == ["C0032227", "C0032326"]


def test_gzipped_files_give_the_same_and_progress_ends_at_the_end(release):
    expected = list(read_umls(release))
    for path in list(release.iterdir()):
        (release / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    told = {}
    found = list(read_umls(release, lambda what, done, total: told.update({what: done == total})))
    assert found == expected
    assert told == {"MRCONSO.RRF": True, "MRDEF.RRF": True, "MRREL.RRF": True}


def test_a_missing_file_is_named(release):
    (release / "MRDEF.RRF").unlink()
    with pytest.raises(KnowledgeSourceError, match=r"has no MRDEF\.RRF"):
        list(read_umls(release))


def test_a_broken_line_is_named_by_file_and_number(release):
    (release / "MRREL.RRF").write_text(MRREL + "C1|C2|PAR\n")
    with pytest.raises(KnowledgeSourceError, match=r"MRREL\.RRF, line 5: has 2 fields"):
        list(read_umls(release))


def test_another_encoding_is_named(release):
    (release / "MRDEF.RRF").write_bytes("C1|A|A||MSH|Ménière|N||\n".encode("latin-1"))
    with pytest.raises(KnowledgeSourceError, match=r"MRDEF\.RRF, line 1: is not UTF-8"):
        list(read_umls(release))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda whole: whole[:-12], "is cut short"),
        (lambda whole: b"", "is empty"),
        (lambda whole: b"C0032326|A1|", "is damaged or no gzip file"),
        (lambda whole: whole[:10] + b"\xff" * 20 + whole[30:], "is damaged or no gzip file"),
    ],
)
def test_a_damaged_gzip_file_is_named(release, damage, reason):
    path = release / "MRDEF.RRF"
    (release / "MRDEF.RRF.gz").write_bytes(damage(gzip.compress(path.read_bytes())))
    path.unlink()
    with pytest.raises(KnowledgeSourceError, match=rf"MRDEF\.RRF\.gz: {reason}"):
        list(read_umls(release))


def test_blank_names_and_definitions_are_left_out(release):
    """They would be one name that makes all their concepts one."""
    blank = [
        "C0000001|ENG|P|L7|PF|S7|Y|A7||M7|D7|MSH|MH|D1||0|N||",
        "C0000002|ENG|P|L8|PF|S8|Y|A8||M8|D8|MSH|MH|D2| \u200b|0|N||",
        "C0032227|ENG|S|L9|PF|S9|Y|A9||M9|D9|MSH|SY|D3|  |0|N||",
    ]
    (release / "MRCONSO.RRF").write_text(MRCONSO + "\n".join(blank) + "\n", "utf-8")
    (release / "MRDEF.RRF").write_text(MRDEF + "C0032227|A5|AT4||MSH| |N||\n", "utf-8")
    concepts = {concept.id: concept for concept in read_umls(release)}
    assert set(concepts) == {"C0032326", "C0032227", "C0004057"}
    assert concepts["C0032227"].synonyms == concepts["C0032227"].descriptions == ()


def test_a_byte_order_mark_is_no_part_of_an_identifier(release):
    (release / "MRCONSO.RRF").write_text("\ufeff" + MRCONSO, "utf-8")
    assert {concept.id for concept in read_umls(release)} == {"C0032326", "C0032227", "C0004057"}
