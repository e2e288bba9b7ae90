"""The operator's check of an installation, as `validate.py` prints it: one module a group of checks.

survey                                     which checks there are, in order
running, finding, refusals, table          checks beside each other, what they say, and how that is shown
python                                     the interpreter and its packages
settings, env_file, advice                 the configuration
folders, application, modules, files       what the service is made of
stores, index, chat, reporting, serving    what it depends on, and who is there already

`survey`, `running`, `finding`, `table` and `python` work with the standard library alone: where packages are missing,
that has to be said.
"""
