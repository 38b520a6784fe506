"""The label texts of a recipe's knowledge classifier: the names of the data, by a text encoder."""

from raddiag_hf.knowledge.label_embeddings import LabelEmbeddings
from raddiag_hf.knowledge.label_set import LabelSet
from raddiag_hf.knowledge.text_encoder import TextEncoder
from raddiag_hf.model.heads import KnowledgeHead
from raddiag_hf.model.label_texts import LabelTextError, label_names
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.training.recipe import ModelSection
from raddiag_hf.training.recipe_file import RecipeError


def embed_label_names(section: ModelSection, label_set: LabelSet) -> LabelEmbeddings | None:
    """Embed the labels of the data by ``model.text_encoder``; None where a recipe names none.

    Raises:
        TextEncoderError: If the encoder cannot be had.
    """
    if section.text_encoder is None:
        return None
    return LabelEmbeddings.embed(label_set, TextEncoder.from_pretrained(section.text_encoder))


def give_label_texts(
    model: RadDiagForImageClassification,
    section: ModelSection,
    label_texts: LabelEmbeddings | None,
) -> None:
    """Make label texts those that the classifier is trained with, or see that it has some.

    Args:
        model: New, or read from the recipe's checkpoint.
        section: Of the recipe.
        label_texts: What `embed_label_names` returned.

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
        stored = ""
        if section.checkpoint is not None:
            stored = (
                ", or store label texts in the checkpoint with `raddiag knowledge embed --encoder "
                f"... --labels ... --model {section.checkpoint}`"
            )
        raise RecipeError(
            "model.text_encoder is missing: a knowledge classifier is trained with embedded label "
            f"names, so name a text encoder, a folder or Hub id{stored}"
        )
    names = label_names(model.config) if label_texts is None else label_texts.label_set.names
    try:
        model.set_label_texts(names, label_texts, for_training=True)
    except LabelTextError as error:
        raise RecipeError(f"model.text_encoder: {error}") from None
