"""The parts that all pages share."""

import base64

from kerassl._display import marked_up


def page(title, parts):
    """A page that needs no other file.

    Args:
        title: str.
        parts: list of str, HTML.

    Returns:
        str, HTML.
    """
    return _PAGE.replace("@@TITLE@@", marked_up(title)).replace("@@BODY@@", "\n".join(parts))


def picture(title, says, png):
    """A PNG with its heading and a sentence, as HTML that holds it."""
    title, encoded = marked_up(title), base64.b64encode(png).decode()
    return f"<h2>{title}</h2><p>{marked_up(says)}</p><img alt='{title}' src='data:image/png;base64,{encoded}'>"


def failure(figures):
    """Why a pre-training failed and what to do, or None where it did not.

    Args:
        figures: dict, as it stands in `pretrain.json`.

    Returns:
        str or None.
    """
    if figures.get("learned") is not False:
        return None
    return "; ".join(f"{alarm['kind']}: {alarm['message']}" for alarm in figures["alarms"] if alarm["at_end"])


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>@@TITLE@@</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#1f2937}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}th,td{padding:.35rem .6rem;text-align:right;border-bottom:1px solid #e5e7eb}
th:first-child,td:first-child{text-align:left}thead th{color:#4b5563;font-weight:600;font-size:.85rem}
img{max-width:100%}pre{background:#f3f4f6;padding:1rem;overflow:auto;font-size:.8rem}
.note{background:#fef3c7;padding:.6rem 1rem;border-radius:.3rem}
.bad{background:#fee2e2;color:#991b1b;padding:.6rem 1rem;border-radius:.3rem}details{margin:.6rem 0;color:#4b5563}
</style>
<body>
@@BODY@@
</body></html>
"""
