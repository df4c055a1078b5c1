"""Reads what people have (public datasets, folders, plain CSVs) into a manifest, and nothing else.

    python -m data.sources NAME --root DIR --out manifest.csv

One module per source. Each has `DESCRIPTION`, `add_arguments(parser)` for options of its own, and
`read(root, arguments) -> Manifest`. A source reports what it cannot use
through `logging`; it never drops an image silently.
"""
