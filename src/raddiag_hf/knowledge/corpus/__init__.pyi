# The public names and where they live; `__init__.py` imports them from there at first use.

from .articles import read_articles as read_articles
from .concept import Concept as Concept
from .corpus_file import read_corpus as read_corpus, write_corpus as write_corpus
from .icd10cm import read_icd10cm as read_icd10cm
from .pairs import KnowledgePair as KnowledgePair, build_pairs as build_pairs
from .umls import read_umls as read_umls
