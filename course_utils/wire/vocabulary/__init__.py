"""The two tiktoken vocabularies, packed small enough to travel with the course.

``o200k_base.xz`` and ``cl100k_base.xz`` hold what OpenAI publishes as ``*.tiktoken`` (MIT licence,
``LICENSE.tiktoken``). ``packing`` knows their form, ``build`` derives them from a pinned wheel.
"""
