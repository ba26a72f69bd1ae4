"""The command line: it asks a daemon over HTTP like everybody else, and never touches a database or a name server."""
