"""Settings of the book for Sphinx; `python -m docs.book` (make book) builds it."""

import re

project = "Multi-task image workshop"
copyright = "the authors, Apache-2.0"
html_title = project

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"

nb_execution_mode = "off"  # `make workshop` executes; the book shows what it kept
nb_merge_streams = True  # one box for what a cell prints, not one for each line
nb_output_stderr = "remove"  # progress bars
myst_heading_anchors = 3  # `#majority-class-baseline`, as on GitHub

default_role = "code"  # `name` in a docstring is code, as in Markdown
autodoc_member_order = "groupwise"  # classes, then functions
autodoc_preserve_defaults = True  # `ROOT / "x"`, not the path on the machine that built it
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 90
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_copy_source = True  # behind the button that downloads a page as a notebook
html_show_sphinx = False
html_theme_options = {
    "home_page_in_toc": True,
    "navbar_persistent": [],  # the search is in the margin; a bar above it would say it twice
    "show_toc_level": 2,
    "use_download_button": True,
    "use_fullscreen_button": False,
}


def setup(app):
    """Lets autodoc read docstrings as they are meant: plain text with `code`, of our own names."""
    app.connect("autodoc-process-docstring", escape_signs)
    app.connect("autodoc-skip-member", is_foreign)


def escape_signs(app, kind, name, thing, options, lines):
    """Keeps a `*` or `|` outside of code as it is; reStructuredText would read it as a sign."""
    lines[:] = [re.sub(r"`[^`]*`|[*|]", _escaped, line) for line in lines]


def _escaped(found):
    return found[0] if found[0].startswith("`") else f"\\{found[0]}"


def is_foreign(app, kind, name, thing, skip, options):
    """Leaves out what a library put into a class of ours, such as matplotlib's `set`."""
    module = getattr(thing, "__module__", None) or ""
    return True if kind == "class" and module.partition(".")[0] in ("matplotlib", "keras") else None
