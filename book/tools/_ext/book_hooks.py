"""What the book needs from Sphinx and myst-nb that neither has yet: five small hooks."""

import re
from pathlib import Path

from docutils import nodes
from myst_nb.core.render import NbElementRenderer

PAGE = re.compile(r"\bPage: (\w+/\w+)\.$")


def image_with_alt_text(self, data, _render_image=NbElementRenderer.render_image):
    """Give an image output the alt text that stands in its own metadata.

    `display(fig, metadata={"image/png": {"alt": "..."}})` puts it there, as IPython's own Image does. myst-nb
    1.4 reads only width and height there, and alt text from the cell's metadata, which code cannot write.
    """
    images = _render_image(self, data)
    alt = data.output_metadata.get(data.mime_type, {}).get("alt")
    if alt:
        for image in images:
            image["alt"] = alt
    return images


def link_page_line(app, what, name, obj, options, lines):
    """Turn a docstring's `Page: notebooks/01.` into a link to the page whose path begins so."""

    def link(found):
        (page,) = (page for page in app.env.found_docs if page.startswith(found[1]))
        return f"Explained in :doc:`/{page}`."

    lines[:] = [PAGE.sub(link, line.rstrip()) for line in lines]


def link_within(app, page, source):
    """Let a notebook's links to the book's public address, which Colab needs, lead to the pages that are built here."""
    owner, name = app.config.html_theme_options["repository_url"].split("/")[-2:]
    public = re.escape(f"https://{owner.lower()}.github.io/{name}/")

    def relative(found):
        path, anchor = found[1].removesuffix(".html"), found[2] or ""
        if path == page:
            return f"]({anchor})"
        if path.startswith("_static/"):
            return f"](../book/{path})"
        place = app.env.doc2path(path) if path in app.env.found_docs else found[1]
        return f"](../{Path(place).relative_to(app.srcdir) if Path(place).is_absolute() else place}{anchor})"

    if app.env.doc2path(page).endswith(".ipynb"):
        source[0] = re.sub(rf"\]\({public}([\w/.-]+)(#[\w-]+)?\)", relative, source[0])


def name_remote_images(app, doctree):
    """Show a picture from another host, such as a Colab badge, as its alt text: pages are read offline."""
    for image in list(doctree.findall(nodes.image)):
        if image["uri"].startswith(("http://", "https://")):
            image.replace_self(nodes.Text(image.get("alt", "picture")))


def launch_notebooks_only(app, page, template, context, doctree):
    """Let the launch button of a page of text open the page's twin, or take it off: Colab opens only `.ipynb`."""
    if app.env.doc2path(page).endswith(".md"):
        twin, kept = f"book/twins/{Path(page).name}.ipynb", []
        for group in context.get("header_buttons", []):
            if group.get("label") != "launch-buttons":
                kept.append(group)
            elif (Path(app.srcdir) / twin).exists():
                for button in group["buttons"]:
                    button["url"] = button["url"].replace(f"{page}.md", twin)
                kept.append(group)
        context["header_buttons"] = kept


def setup(app):
    """Connect the hooks."""
    NbElementRenderer.render_image = image_with_alt_text
    app.connect("source-read", link_within)
    app.connect("autodoc-process-docstring", link_page_line)
    app.connect("doctree-read", name_remote_images)
    app.connect("html-page-context", launch_notebooks_only, priority=900)  # the theme adds buttons at 501 or before
    return {"parallel_read_safe": True, "parallel_write_safe": True}
