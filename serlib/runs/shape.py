"""The shape of a record: what is looked at when one is read, so that nothing fails on it later."""

import math


def inspect(record: object) -> None:
    """Raise ValueError where a `Record` that was read has not the shape of one; the message says what is wrong.

    Page: book/threats.
    """
    texts, tables = ("model", "source", "corpus", "protocol"), ("settings", "behaviour", "origin", "history")
    kinds = dict.fromkeys(texts, str) | dict.fromkeys(tables, dict) | {"classes": list, "folds": list, "seed": int}
    for name, kind in kinds.items():
        _need(isinstance(getattr(record, name), kind), f"its {name} should be a {kind.__name__}")
    _need(record.source.count(".") == 1, "its source should be a module and a name")
    _need(record.classes and all(isinstance(name, str) for name in record.classes), "its classes have no names")
    _need(all(isinstance(name, str) for name in record.behaviour.values()), "its behaviour is no list of ids")
    _need(record.folds, "it holds no fold")
    _inspect_origin(record.origin, "its origin")
    for fold in record.folds:
        _need(isinstance(fold, dict) and isinstance(fold.get("name"), str), "a fold has no name")
        _inspect_origin(fold.get("origin", record.origin), f"the origin of fold {fold['name']!r}")
        _need(_are_numbers([fold.get("seconds")]), f"fold {fold['name']!r} lacks its seconds")
        counts = [fold.get(name, 0) for name in ("updates", "best_epoch", "loss", "first_loss")]
        _need(_are_numbers(counts), f"of fold {fold['name']!r} updates or losses are no numbers")
        for rows in (fold, fold.get("validation") or {}):
            _inspect_rows(rows, len(record.classes), f"of fold {fold['name']!r}", rows is fold)
        curve = fold.get("curve", {})
        whole = isinstance(curve, dict) and all(isinstance(c, list) and _are_numbers(c) for c in curve.values())
        _need(whole and len({len(c) for c in curve.values()}) < 2, f"the curve of fold {fold['name']!r} is none")


def _inspect_origin(origin: dict, what: str) -> None:
    """The same for where a record or a fold of it comes from."""
    around = origin.get("environment") if isinstance(origin, dict) else None
    whole = isinstance(around, dict) and {"device", "precision", "threads"} <= around.keys()
    _need(whole and isinstance(origin.get("date"), str), f"{what} lacks its date, or what it ran on")


def _inspect_rows(rows: dict, classes: int, where: str, needed: bool) -> None:
    """The same for the rows of one side of a fold; a side that was not looked at is empty."""
    _need(isinstance(rows, dict), f"the rows {where} are no table")
    if not rows and not needed:
        return
    names = ("utterance_id", "speaker", "label", "predicted")
    columns = {name: rows.get(name) for name in names}
    further = rows.get("dimensions", {})
    _need(isinstance(further, dict) and all(isinstance(d, dict) for d in further.values()), f"dimensions {where}")
    for name, found in further.items():
        columns |= {f"{kind} of {name}": found.get(kind) for kind in ("label", "predicted")}
    for name, column in columns.items():
        alike = isinstance(column, list) and len(column) == len(columns["utterance_id"] or ())
        _need(alike, f"the column {name!r} {where} is missing, or not as long as the others")
        if name in ("utterance_id", "speaker"):
            _need(all(isinstance(value, str) for value in column), f"the column {name!r} {where} should be text")
        else:
            lowest = 0 if name.startswith("predicted") else -1  # -1: nobody gave a label
            fine = all(type(value) is int and lowest <= value < classes for value in column)
            _need(fine, f"the column {name!r} {where} names a class that there is not")
    scores = rows.get("scores", [])
    shaped = isinstance(scores, list) and all(isinstance(each, list) and len(each) == classes for each in scores)
    shaped = shaped and ("scores" not in rows or len(scores) == len(columns["label"]))
    _need(shaped and all(map(_are_numbers, scores)), f"the scores {where} are not one for each class")


def _need(fine: object, what: str) -> None:
    if not fine:
        raise ValueError(what)


def _are_numbers(values: list) -> bool:
    return all(type(value) in (int, float) and math.isfinite(value) for value in values)
