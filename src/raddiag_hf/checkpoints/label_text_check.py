"""Whether a knowledge classifier has label texts: without them all labels get the same logit."""

from raddiag_hf.core.errors import InputError
from raddiag_hf.model.heads import KnowledgeHead
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification


class LabelTextsMissingError(InputError):
    """A model whose knowledge classifier nobody gave label texts: which, and how to mend it."""


def check_label_texts(model: RadDiagForImageClassification, model_id: str | None = None) -> None:
    """Refuse a knowledge classifier without label texts; any other classifier passes.

    Args:
        model: About to be trained or asked.
        model_id: What to call it in the message; its folder or Hub id by default.

    Raises:
        LabelTextsMissingError: If no label text was ever set.
    """
    head = model.classifier
    if isinstance(head, KnowledgeHead) and not head.has_label_embeddings():
        name = model_id or model.name_or_path or "the model"
        raise LabelTextsMissingError(
            f"{name}: its knowledge classifier has no label texts, so that every label would get "
            "the same score; embed its labels with `raddiag knowledge embed --encoder ... --labels "
            "... --model ...`, or with model.set_label_texts"
        )
