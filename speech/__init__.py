"""An endpoint for speech on one's own machine, in OpenAI's format: `python -m speech`.

It is a process of its own: a recording of a stranger is decoded far from documents, keys and conversations, and the
work of the models holds up no answer.
"""
