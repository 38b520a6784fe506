"""Articles as text and JSONL."""

import json

import pytest

from raddiag_hf.knowledge.corpus.articles import read_articles
from raddiag_hf.knowledge.corpus.concept import KnowledgeSourceError

TEXT = """\
# Pneumothorax

Gas in the pleural space,
between lung and chest wall.

It may be spontaneous.

## Radiographic features
A visible visceral pleural edge: no lung markings beyond it.

## Synonyms
- collapsed lung
- air in the pleura; pleural gas

Parents: Pleural disease
"""


def test_a_text_file_is_an_article_with_headings(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "pneumothorax.md").write_text(TEXT)
    (concept,) = read_articles(tmp_path)
    assert (concept.term, concept.id) == ("Pneumothorax", "Pneumothorax")
    assert concept.descriptions == (
        "Gas in the pleural space, between lung and chest wall.",
        "It may be spontaneous.",
        "A visible visceral pleural edge: no lung markings beyond it.",
    )
    assert concept.synonyms == ("collapsed lung", "air in the pleura", "pleural gas")
    assert concept.parents == ("Pleural disease",)


def test_a_line_of_json_is_an_article(tmp_path):
    path = tmp_path / "articles.jsonl"
    article = {
        "name": "Gout",
        "id": "rID-1",
        "definition": "A crystal arthropathy.",
        "radiographic_features": ["Tophi.", "Punched-out erosions.\u2028Overhanging edges."],
        "synonyms": ["podagra"],
    }
    path.write_text(json.dumps(article, ensure_ascii=False) + "\n\n", "utf-8")
    (concept,) = read_articles(path)
    assert (concept.term, concept.id, concept.synonyms) == ("Gout", "rID-1", ("podagra",))
    assert concept.descriptions == (
        "A crystal arthropathy.",
        "Tophi.",
        "Punched-out erosions. Overhanging edges.",
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "is not JSON"),
        ("[1]", "expected an object"),
        ('{"definition": "x"}', "has no name"),
        ('{"name": "x", "summary": "y"}', "unknown keys"),
        ('{"name": "x", "synonyms": [1]}', "expected text"),
        ('{"name": ["x"]}', "expected text"),
        ('{"name": null}', "has no name"),
        ('{"name": "\\u200b"}', "has no name"),
        ('{"name": "x", "id": " "}', "id is ' '"),
        ('{"name": "\\ud800"}', "expected text"),
        ('{"name": "x", "definition": ["y \\udfff"]}', "expected text"),
        pytest.param("[" * 100_000, "nested too deeply", id="nested"),
        pytest.param('{"name": ' + "1" * 5000 + "}", "too many digits", id="digits"),
        ('{"name": "Gout"}', "article 'Gout' occurs twice, first in .*articles.jsonl, line 1"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number(tmp_path, line, reason):
    path = tmp_path / "articles.jsonl"
    path.write_text(f'{{"name": "Gout"}}\n{line}\n')
    with pytest.raises(KnowledgeSourceError, match=rf"articles\.jsonl, line 2: .*{reason}"):
        list(read_articles(path))


def test_null_is_a_value_that_is_missing(tmp_path):
    path = tmp_path / "articles.jsonl"
    path.write_text('{"name": "Gout", "definition": null, "id": null, "synonyms": null}')
    (concept,) = read_articles(path)
    assert (concept.id, concept.descriptions, concept.synonyms) == ("Gout", (), ())


def test_names_in_json_are_taken_as_they_are(tmp_path):
    path = tmp_path / "articles.jsonl"
    path.write_text('{"name": "Gout", "synonyms": ["a, b; c", "- d"]}')
    (concept,) = read_articles(path)
    assert concept.synonyms == ("a, b; c", "- d")


def article(tmp_path, text):
    path = tmp_path / "article.md"
    path.write_text(text)
    (concept,) = read_articles(path)
    return concept


@pytest.mark.parametrize(
    "other", ["## Epidemiology", "# Epidemiology #", "Epidemiology\n------------"]
)
def test_what_stands_below_other_headings_is_left_out(tmp_path, other):
    text = f"Gout\n\nCrystals.\n\n{other}\nCommon.\n- Men.\n\n## Radiographic features\nTophi.\n"
    assert article(tmp_path, text).descriptions == ("Crystals.", "Tophi.")
    text += "\n## References\n1. Smith 2020\n"
    assert article(tmp_path, text).descriptions == ("Crystals.", "Tophi.")


def test_headings_within_a_section_part_its_text(tmp_path):
    text = """\
Gout
====

## Radiographic features
### Plain radiograph
Erosions.
### CT
Tophi.
## Synonyms
### Old
podagra
## Treatment
### Acute
Colchicine.
"""
    concept = article(tmp_path, text)
    assert concept.term == "Gout"
    assert concept.descriptions == ("Erosions.", "Tophi.")
    assert concept.synonyms == ("podagra",)


def test_each_bullet_of_a_text_is_a_description(tmp_path):
    text = """\
Gout
Radiographic features:
Seen are
- tophi,
  calcified
2. 3 - 5 mm erosions
---
* pain
"""
    assert article(tmp_path, text).descriptions == (
        "Seen are",
        "tophi, calcified",
        "3 - 5 mm erosions",
        "pain",
    )


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("Synonyms: podagra, gouty arthritis", ("podagra", "gouty arthritis")),
        ("Synonyms: gout, acute; podagra", ("gout, acute", "podagra")),
        ("Synonyms:\n- gout, acute\n- podagra", ("gout, acute", "podagra")),
    ],
)
def test_commas_part_names_on_the_line_of_the_heading_only(tmp_path, line, names):
    assert article(tmp_path, f"Gout\n{line}\n").synonyms == names


def test_an_article_twice_is_named_by_both_files(tmp_path):
    (tmp_path / "a.txt").write_text("Gout\nCrystals.")
    (tmp_path / "b.TXT").write_text("Gout\nTophi.")
    with pytest.raises(KnowledgeSourceError, match=r"b\.TXT: article 'Gout' .* first in .*a\.txt"):
        list(read_articles(tmp_path))


def test_upper_case_file_names_are_read(tmp_path):
    (tmp_path / "A.JSONL").write_text('{"name": "Gout"}')
    assert [concept.term for concept in read_articles(tmp_path)] == ["Gout"]
    assert [concept.term for concept in read_articles(tmp_path / "A.JSONL")] == ["Gout"]


def test_a_folder_without_articles_is_refused(tmp_path):
    with pytest.raises(KnowledgeSourceError, match="expected articles"):
        list(read_articles(tmp_path))
    with pytest.raises(KnowledgeSourceError, match="expected articles"):
        list(read_articles(tmp_path / "absent"))


def test_an_empty_or_foreign_text_file_is_named(tmp_path):
    (tmp_path / "empty.txt").write_text(" \n")
    with pytest.raises(KnowledgeSourceError, match=r"empty\.txt: has no name"):
        list(read_articles(tmp_path))
    (tmp_path / "empty.txt").write_bytes(b"M\xe9ni\xe8re")
    with pytest.raises(KnowledgeSourceError, match=r"empty\.txt: is not UTF-8"):
        list(read_articles(tmp_path))
