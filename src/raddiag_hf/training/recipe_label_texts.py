"""The label texts of a recipe's knowledge classifier: the names of the data, by a text encoder."""

from raddiag_hf.knowledge.encoder.text_encoder import TextEncoder
from raddiag_hf.labels.label_embeddings import LabelEmbeddings
from raddiag_hf.model.heads import KnowledgeHead
from raddiag_hf.model.label_texts import LabelTextError, label_names
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.training.recipe import ModelSection
from raddiag_hf.training.recipe_file import RecipeError

MISSING = (
    "model.text_encoder is missing: a knowledge classifier is trained with embedded label names, "
    "so name a text encoder, a folder or Hub id"
)


def read_text_encoder(section: ModelSection) -> TextEncoder | None:
    """Return the text encoder of a recipe; None where it names none.

    Raises:
        RecipeError: If a knowledge classifier would begin without one.
        TextEncoderError: If the encoder is not available.
    """
    if section.text_encoder is not None:
        return TextEncoder.from_pretrained(section.text_encoder)
    if section.checkpoint is None and section.config.get("classifier_type") == "knowledge":
        raise RecipeError(MISSING)
    return None


def give_label_texts(
    model: RadDiagForImageClassification,
    section: ModelSection,
    label_texts: LabelEmbeddings | None,
) -> None:
    """Make label texts those that the classifier is trained with, or see that it has some.

    Args:
        model: New, or read from the recipe's checkpoint.
        section: Of the recipe.
        label_texts: Of the labels of the data, by the recipe's text encoder, if it names one.

    Raises:
        RecipeError: If a knowledge classifier has no label texts, they are not of its width, or
            another classifier would get some.
    """
    head = model.classifier
    if not isinstance(head, KnowledgeHead):
        if label_texts is not None:
            raise RecipeError(
                f"model.text_encoder: the classifier is {model.config.classifier_type!r}, and only "
                "model.config.classifier_type=knowledge reads label names"
            )
        return
    if label_texts is None and not head.has_label_embeddings():
        raise RecipeError(
            f"{MISSING}, or store label texts in the checkpoint with `raddiag knowledge embed "
            f"--encoder ... --labels ... --model {section.checkpoint}`"
        )
    names = label_names(model.config) if label_texts is None else label_texts.label_set.names
    try:
        model.set_label_texts(names, label_texts, for_training=True)
    except LabelTextError as error:
        raise RecipeError(f"model.text_encoder: {error}") from None
