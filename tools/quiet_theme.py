"""A Sphinx extension of the book: leave out the theme's live-code scripts.

They are written into every page twice, which is an error in the browser's console, and fetch code from the
network when used.
"""


def _without_thebe(app, pagename, templatename, context, doctree):
    def words(script):
        return f"{getattr(script, 'filename', script)} {getattr(script, 'attributes', '')}".lower()

    scripts = context.get("script_files", [])
    context["script_files"] = [script for script in scripts if "thebe" not in words(script)]


def setup(app):
    """Connect to Sphinx."""
    app.connect("html-page-context", _without_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
