"""What does adapting to the tested speaker's ratings do? `make findings CHAPTER=cai2020`: a record for each network.

Every trained network of chapter 4 that has auxiliary tasks adapts, as the released code does, once to the development
speaker's bins and once to the tested speaker's own. The records keep what is heard before and after each noted epoch;
the chapter makes its five evaluations of them. A network whose folds are not all trained yet is left out, and said so.
"""

from shared import RUNS, keep

from serlib import runs
from serlib.errors import InputError
from serlib.papers import cai2020
from serlib.runs import queue
from serlib.runs.make import plan
from serlib.runs.record import joined

HOW = cai2020.Adaptation(epochs=80, noted=(1, 2, 5, 10, 20, 40, 80))
FOLDER = RUNS / "cai2020"


def adapt_all() -> None:
    """The adaptation of every network of the queue that is trained."""
    for item in queue.items():
        if item.chapter != "cai2020" or item.model in cai2020.ALONE:
            continue
        try:
            run = item.run()
        except InputError as error:
            print(f"{item.model} on {item.corpus}: {error}")
            continue
        parts = plan(run, FOLDER)
        if not all(part.path.exists() for part in parts):
            print(f"{item.model} on {item.corpus}, seed {item.seed}: not all of its folds are trained yet")
            continue
        trained = joined([runs.read_record(part.path) for part in parts], FOLDER)
        adaptation = cai2020.adaptation_run(trained, FOLDER, run.task, HOW)
        [record] = runs.run_all([adaptation], FOLDER)
        keep(record, "cai2020", plan(adaptation, FOLDER)[0].place.parent.name)


if __name__ == "__main__":
    adapt_all()
