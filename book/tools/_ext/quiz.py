"""`{quiz}`: questions of which one option is right, and every option says why. Radio buttons and CSS, no script.

A page of text holds its questions, in YAML, in the directive. Those of a notebook lie in `book/quizzes`, in a file of
its name, for Colab would show the directive as it is written; the page gets them at its end.
"""

import json
from pathlib import Path

import yaml
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

QUIZZES = Path(__file__).resolve().parents[2] / "quizzes"


def questions_in(text: str, where: object) -> list[dict]:
    """The questions of a quiz: `question` and `options`, of each its `text` and `why`, of one of them `right: true`.

    Raises ValueError, which names the place, where something is missing, or not exactly one option is right.
    """
    try:
        found = yaml.load(text, yaml.BaseLoader)  # all that is written is text, `No` too
    except yaml.YAMLError as error:
        raise ValueError(f"{where}: not YAML ({error}).") from error
    if not isinstance(found, list) or not found:
        raise ValueError(f"{where}: a quiz is a list of questions.")
    for number, each in enumerate(found, 1):
        place = f"{where}, question {number}"
        if (
            not isinstance(each, dict)
            or each.keys() != {"question", "options"}
            or not isinstance(each["options"], list)
        ):
            raise ValueError(f"{place}: it needs `question` and a list of `options`, and nothing else.")
        for option in each["options"]:
            if not isinstance(option, dict) or not {"text", "why"} <= option.keys() <= {"text", "why", "right"}:
                raise ValueError(f"{place}: each option needs `text` and `why`, and one of them `right: true`.")
            if not all(isinstance(said, str) and said.strip() for said in option.values()):
                raise ValueError(f"{place}: an option has no text, or no reason.")
        rights = [option["right"] for option in each["options"] if "right" in option]
        if rights != ["true"] or len(each["options"]) < 2:
            raise ValueError(f"{place}: exactly one of at least two options is right.")
    return found


class Quiz(SphinxDirective):
    """A group of radio buttons for each question; the reason of the option that is chosen shows."""

    has_content = True

    def run(self):
        """The questions as nodes. An error in them stops the build."""
        try:
            questions = questions_in("\n".join(self.content), f"{self.env.docname}, line {self.lineno}")
        except ValueError as error:
            raise self.error(str(error)) from error
        return [node for number, each in enumerate(questions, 1) for node in self._question(number, each)]

    def _question(self, number, each):
        name = f"quiz-{self.env.new_serialno('quiz')}"
        yield raw('<fieldset class="quiz"><legend>')
        yield nodes.Text(f"{number}. ")  # else a list would begin here
        yield from self._said(each["question"])
        yield raw("</legend>")
        for index, option in enumerate(each["options"]):
            own, judged = f"{name}-{index}", "right" if option.get("right") else "wrong"
            yield raw(f'<div class="option {judged}"><input type="radio" name="{name}" id="{own}"><label for="{own}">')
            yield from self._said(option["text"])
            yield raw('</label><div class="why">')
            yield from self._said(f"**{'Right' if judged == 'right' else 'No'}.** {option['why']}")
            yield raw("</div></div>")
        yield raw("</fieldset>")

    def _said(self, text):
        for each in self.parse_text_to_nodes(str(text)):  # a paragraph is not allowed in a legend or a label
            yield nodes.inline("", "", *each.children) if isinstance(each, nodes.paragraph) else each


def raw(html):
    """A piece of HTML between nodes."""
    return nodes.raw("", html, format="html")


def append_quiz(app, page, source):
    """Give the page of a notebook, at its end, the questions that lie in `book/quizzes` under its name."""
    path = QUIZZES / f"{Path(page).name}.yml"
    if app.env.doc2path(page).endswith(".ipynb") and path.exists():
        app.env.note_dependency(str(path))
        notebook = json.loads(source[0])
        text = f"## Quiz\n\n```{{quiz}}\n{path.read_text('utf-8')}\n```"
        notebook["cells"].append({"cell_type": "markdown", "id": "quiz", "metadata": {}, "source": text})
        source[0] = json.dumps(notebook)


def setup(app):
    """Register the directive and the hook."""
    app.add_directive("quiz", Quiz)
    app.connect("source-read", append_quiz)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
