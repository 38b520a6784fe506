# The public names and where they live; `__init__.py` imports them from there at first use.

from .corpus.concept import Concept as Concept
from .corpus.corpus_file import read_corpus as read_corpus
from .corpus.icd10cm import read_icd10cm as read_icd10cm
from .corpus.pairs import build_pairs as build_pairs
from .encoder.pretraining_run import run_pretraining as run_pretraining
from .encoder.pretraining_settings import PretrainingSettings as PretrainingSettings
from .encoder.text_encoder import TextEncoder as TextEncoder, TextEncoderError as TextEncoderError
