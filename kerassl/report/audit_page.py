"""The page of an audit."""

import json

from kerassl._display import marked_up

EXAMPLES = 4  # images that are drawn of each region that recurs
_COLUMNS = {
    "class": ("class", "whose evidence the heatmap shows"),
    "right": ("right", "whether the model names the class (a detector: finds it)"),
    "score": ("score", "of the class, 0 to 1"),
    "best": ("best", "the class with the highest score"),
    "energy": ("energy", "share of the heat in the objects' boxes"),
    "area": ("area", "share of the picture in the objects' boxes: what even heat would have"),
    "pointing": ("points", "1 where the hottest pixel lies on an object, or within 15 pixels"),
    "wrong_reason": ("wrong reason", "right, with less heat in the object than even heat would have, and than half"),
    "off_object": ("off object", "the hottest pixel lies beside every object"),
    "mark": ("mark", "the image shows a region that recurs, below"),
}


_OF_CLASS = ("images", "right", "energy", "area", "pointing", "wrong_reason", "off_object")


def audit_page(content, drawn, patches):
    """The page of an audit.

    Args:
        content: dict, what `audit.json` holds, and `images`, how many were audited.
        drawn: dict from (image, class) to the data URI of the image with its heat.
        patches: dict from (class, region) to the data URI of the mean of the region.

    Returns:
        str, HTML that needs no other file.
    """
    body = "\n".join(
        [
            "<h1>kerassl: where the model looks</h1>",
            _summary(content["figures"], content["images"]),
            _recurring(content, drawn, patches),
            _by_class(content["classes"]),
            _rows(content["rows"], drawn),
            f"<h2>Settings and machine</h2><p>{marked_up(json.dumps(content['settings']))}</p>",
        ]
    )
    return _PAGE.replace("@@BODY@@", body)


def _summary(figures, images):
    return (
        f"<p>{images} images, {figures['images']} heatmaps of a class each. The model is right on "
        f"{_share(figures['right'])} %; of the heat, {_share(figures['energy'])} % lies in the objects, which take "
        f"{_share(figures['area'])} % of the pictures. <b>{figures['wrong_reason']}</b> times it is right for the "
        f"wrong reason, <b>{figures['off_object']}</b> times its hottest point is off the object.</p>"
    )


def _recurring(content, drawn, patches):
    if not content["findings"]:
        parts = ["<h2>Regions that recur</h2><p>None draws the heat of a class and raises its score.</p>"]
    else:
        parts = [
            "<h2>Regions that recur</h2><p class='note'>The same thing stands at one place in images of one class, "
            "and the model looks at it. Paint it over and train again: <code>erase: regions.json</code>.</p>"
        ]
        parts += [_region(each, drawn, patches) for each in content["findings"]]
    if content["unused"]:
        parts.append(
            "<h2>Regions that recur and are not used</h2><p>They do not both draw heat and raise the score.</p>"
        )
        parts += [_region(each, drawn, patches) for each in content["unused"]]
    return "\n".join(parts)


def _region(each, drawn, patches):
    name = marked_up(each["class"])
    pictures = "".join(
        f"<img alt='{marked_up(image)}' src='{drawn[image, each['class']]}'>" for image in each["images"][:EXAMPLES]
    )
    return (
        f"<h3>{name}: {_place(each['region'])}</h3><p>In {len(each['images'])} images, {_share(each['share'])} % of "
        f"the class; outlines agree by {each['agreement']:.2f}. {_share(each['heat'])} % of their heat lies there, "
        f"{_share(each['heat_elsewhere'])} % in other classes, on {_share(each['area'])} % of the picture. Painted "
        f"over, the score of the class falls by {_plain(each['fall'])} ({_plain(each['fall_elsewhere'])} in other "
        f"classes). p = {each['p_value']:.3g}.</p><div class='strip'><img class='patch' alt='mean of the region "
        f"in images of {name}' src='{patches[each['class'], tuple(each['region'])]}'>{pictures}</div>"
    )


def _place(region):
    x0, y0, x1, y1 = (f"{100 * side:.0f}" for side in region)
    return f"{x0}–{x1} % across, {y0}–{y1} % down"


def _by_class(classes):
    heads = [("class", "the class"), *((name, "") for name in _OF_CLASS)]
    rows = [
        [(name, marked_up(name)), *((row[key], _cell(row[key])) for key in _OF_CLASS)] for name, row in classes.items()
    ]
    return "<h2>By class</h2>" + _table(heads, rows)


def _rows(rows, drawn):
    heads = [("image", "the worst first; a head that is clicked sorts by it"), *_COLUMNS.values()]
    lines = []
    for row in rows:
        uri = drawn.get((row["image"], row["class"]))
        picture = f"<br><img alt='{marked_up(row['image'])}' src='{uri}'>" if uri else ""
        cells = [(row["image"], marked_up(row["image"]) + picture)]
        lines.append(cells + [(row[key], _cell(row[key])) for key in _COLUMNS])
    legend = "".join(f"<li><b>{head}</b>: {says}</li>" for head, says in _COLUMNS.values())
    about = f"<details><summary>what the columns mean</summary><ul>{legend}</ul></details>"
    return "<h2>Images</h2><p>Green frames are the objects.</p>" + about + _table(heads, lines)


def _table(heads, rows):
    """A table whose cells carry the values that they are sorted by."""
    first = "".join(f"<th title='{marked_up(says)}'>{marked_up(head.replace('_', ' '))}</th>" for head, says in heads)
    body = "".join(
        "<tr>" + "".join(f"<td data-v='{_sorted_by(value)}'>{text}</td>" for value, text in row) + "</tr>"
        for row in rows
    )
    return f"<table class='sortable'><thead><tr>{first}</tr></thead><tbody>{body}</tbody></table>"


def _sorted_by(value):
    if isinstance(value, bool):
        return int(value)
    return "" if value is None else marked_up(value)


def _cell(value):
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return f"{value:.2f}"
    return "–" if value is None else marked_up(value)


def _plain(value):
    """Two places, without the sign of a nought."""
    return f"{round(value, 2) + 0.0:.2f}"


def _share(value):
    return "–" if value is None else f"{100 * value:.0f}"


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>kerassl: where the model looks</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1f2937}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2rem}h3{font-size:1rem;margin-bottom:.2rem}
table{border-collapse:collapse;width:100%}
th,td{padding:.35rem .6rem;text-align:right;border-bottom:1px solid #e5e7eb;vertical-align:top}
th:first-child,td:first-child{text-align:left}thead th{color:#4b5563;font-weight:600;font-size:.85rem;cursor:pointer}
thead th:hover{text-decoration:underline}td{font-size:.9rem;font-variant-numeric:tabular-nums}
.strip{display:flex;gap:.5rem;flex-wrap:wrap;align-items:start}.patch{outline:3px solid #f59e0b}
.note{background:#fef3c7;padding:.6rem 1rem;border-radius:.3rem}details{margin:.6rem 0;color:#4b5563}
</style>
<body>
@@BODY@@
<script>
document.querySelectorAll("table.sortable th").forEach(head => head.addEventListener("click", () => {
  const place = head.cellIndex, body = head.closest("table").tBodies[0], up = head.dataset.up !== "1";
  head.dataset.up = up ? "1" : "0";
  const value = row => row.cells[place].dataset.v, number = text => text !== "" && !isNaN(text);
  const order = (a, b) => number(a) && number(b) ? a - b : (number(b) - number(a)) || a.localeCompare(b);
  body.append(...[...body.rows].sort((a, b) => (up ? 1 : -1) * order(value(a), value(b))));
}));
</script>
</body></html>
"""
