"""What the evaluation of a model on a data set cannot use."""

from raddiag_hf.core.errors import InputError


class EvaluationInputError(InputError):
    """A model, data set, file or choice that cannot be evaluated: which, and what was expected."""
