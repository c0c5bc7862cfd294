"""Build of the documentation: ``sphinx-build -W docs docs/_build/html`` with the extra ``docs`` installed.

Nothing is fetched: no intersphinx, no remote fonts or scripts. Notebooks are executed at every build.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import rampfit_numba

sys.path.insert(0, str(Path(__file__).parent))

import module_tree

project = "rampfit_numba"
author = "rampfit_numba developers"
copyright = f"2026, {author}"  # noqa: A001  (the name that Sphinx asks for)
release = rampfit_numba.__version__
version = ".".join(release.split(".")[:2])

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxarg.ext",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
root_doc = "index"

# ------------------------------------------------------------------------------------------------------------ markdown
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 4
smartquotes_action = "qe"  # quotes and ellipses, but never a dash for the two hyphens of an option
# sphinx-argparse's domain cannot be asked for "any" kind of target; links to options do not go through it.
suppress_warnings = ["myst.domains"]

# ----------------------------------------------------------------------------------------------------------- notebooks
nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
nb_render_text_lexer = "none"
if importlib.util.find_spec("jwst") is None:
    # The page says that it was not executed; `.ci/run` builds with the pipeline installed.
    nb_execution_excludepatterns = ["notebooks/pipeline_step.md"]

# ---------------------------------------------------------------------------------------------------------- docstrings
autosummary_generate = True
autodoc_typehints = "none"  # numpydoc sections state types, shapes and units
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# ---------------------------------------------------------------------------------------------------------------- html
html_theme = "pydata_sphinx_theme"
html_title = f"rampfit_numba {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_logo = "_static/logo.svg"
html_favicon = "_static/logo.svg"
html_show_sourcelink = False
html_copy_source = False
# On a web server beside other versions, the address of the list of versions that they share.
VERSIONS = os.environ.get("RAMPFIT_DOCS_VERSIONS", "")
html_theme_options: dict[str, object] = {
    "logo": {"text": "rampfit_numba"},
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "navbar_end": ["theme-switcher", "navbar-icon-links"],
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "back_to_top_button": True,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
if VERSIONS:  # a page that is opened as a file cannot read a list: the button would be there and do nothing
    html_theme_options |= {
        "navbar_end": ["version-switcher", "theme-switcher", "navbar-icon-links"],
        "switcher": {"json_url": VERSIONS, "version_match": version},
        "check_switcher": False,  # it would look for the list on the network
    }
html_context = {"default_mode": "auto"}
html_sidebars = {"index": [], "changelog": [], "tutorial": []}

# --------------------------------------------------------------------------------------------------------- copy button
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

# ------------------------------------------------------------------------------------------------------------------ man
man_pages = [("reference/cli", "rampfit", "fit detector ramps up the ramp", [author], 1)]

# What examples and notebooks write lies in the build folder, not beside the sources.
BUILD = Path(__file__).parent / "_build"
BUILD.mkdir(exist_ok=True)
(BUILD / "modules.md").write_text(module_tree.page() + "\n", encoding="utf-8")
