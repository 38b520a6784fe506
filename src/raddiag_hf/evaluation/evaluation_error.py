"""What the evaluation of a model on a data set cannot use."""


class EvaluationInputError(ValueError):
    """A model, data set, file or choice that cannot be evaluated: which, and what was expected."""
