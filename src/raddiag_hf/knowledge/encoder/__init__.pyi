# The public names and where they live; `__init__.py` imports them from there at first use.

from .contrastive import ContrastiveEncoder as ContrastiveEncoder
from .pretrain import pretrain_encoder as pretrain_encoder
from .pretraining_run import (
    compare_encoders as compare_encoders,
    run_pretraining as run_pretraining,
)
from .pretraining_settings import PretrainingSettings as PretrainingSettings
from .retrieval import evaluate_retrieval as evaluate_retrieval
from .text_encoder import TextEncoder as TextEncoder, TextEncoderError as TextEncoderError
