"""The shape of a record: what is looked at when one is read, so that nothing fails on it later."""

import json
from pathlib import Path

import fastjsonschema

_MATCH = fastjsonschema.compile(json.loads(Path(__file__).with_name("record.schema.json").read_text("utf-8")))


def inspect(record: dict) -> None:
    """Raise ValueError where what was read has not the shape of a `Record`; the message says what is wrong.

    `record.schema.json` says most of it; here is what a schema cannot say. Page: book/threats.
    """
    _MATCH(record, name_prefix="record")
    classes = len(record["classes"])
    for fold in record["folds"]:
        where = f"of fold {fold['name']!r}"
        for rows in (fold, fold.get("validation", fold)):
            parts = (rows, *rows.get("dimensions", {}).values())
            answers = [part[key] for part in parts for key in ("label", "predicted")]
            columns = [rows["utterance_id"], rows["speaker"], *answers, *([rows["scores"]] if "scores" in rows else [])]
            _need(len({*map(len, columns)}) == 1, f"the columns {where} are not equally long")
            there = all(type(answer) is int and answer < classes for column in answers for answer in column)
            _need(there, f"a column {where} names a class that there is not")
            whole = all(len(each) == classes for each in rows.get("scores", ()))
            _need(whole, f"the scores {where} are not one for each class")
        lines = fold.get("curve", {}).values()
        _need(len({*map(len, lines)}) < 2, f"the lines of the curve {where} are not equally long")


def _need(fine: bool, what: str) -> None:
    if not fine:
        raise ValueError(what)
