"""The operator's check of an installation, as `validate.py` prints it.

table                              which checks there are, in order: add yours here
running, output                    checks beside each other, and how their findings are printed
python                             the interpreter and its packages
settings, advice, folders          the configuration, and the folders and files that it names
sources                            what the service is made of, each part put to a small use
stores, models, network            what it depends on, and who is there already

`table`, `running`, `output` and `python` work with the standard library alone: where packages are missing, that has to
be said. What a store, model or scanner has to say of itself is its adapter's: `Connections.check`, `Database.check`,
`retrieval.server_check`, `providers.endpoint_check`, `Clamd.ping`; `/ready` and the start ask the same.
"""
