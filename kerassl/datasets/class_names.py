"""The one check of a list of class names."""

from kerassl._errors import UserError


def check_class_names(classes):
    """Refuses what is no list of different names.

    Args:
        classes: sequence of str.

    Returns:
        List of str.

    Raises:
        UserError: if there is no name, one is not a string, or one stands twice.
    """
    if isinstance(classes, (str, int)) or not classes:
        raise UserError(f"classes is {classes!r}; give the list of the class names, as datasets.VOC_CLASSES")
    classes = list(classes)
    wrong = [name for name in classes if not isinstance(name, str)]
    if wrong:
        raise UserError(f"classes holds {wrong[0]!r}, which is no string; give the list of the class names")
    doubled = sorted({name for name in classes if classes.count(name) > 1})
    if doubled:
        raise UserError(f"classes names {doubled[0]!r} more than once; each class needs a name of its own")
    return classes
