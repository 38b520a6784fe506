"""Articles as text and JSONL."""

import json

import pytest

from raddiag_hf.knowledge.articles import read_articles
from raddiag_hf.knowledge.concept import KnowledgeSourceError

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
    ],
)
def test_a_bad_line_is_named_by_file_and_number(tmp_path, line, reason):
    path = tmp_path / "articles.jsonl"
    path.write_text(f'{{"name": "Gout"}}\n{line}\n')
    with pytest.raises(KnowledgeSourceError, match=rf"articles\.jsonl, line 2: .*{reason}"):
        list(read_articles(path))


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
