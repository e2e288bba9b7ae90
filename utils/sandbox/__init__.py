"""Processes that read strangers' files: what they may do, and how the kernel holds them to it.

    sandbox         for callers: `Sandbox` starts processes, one for each file, and talks with them
    jobs            what such a process does, and how much it may use
    fork_server     a process without data that has imported what jobs need, and forks one process for each of them
    walls           what is put up in such a process before it sees a byte of a file, and what this kernel lacks
    system_calls    the calls it may make (seccomp), landlock and own_root the files it may read, kernel the rest

A process in the sandbox takes bytes from its one connection, gives bytes back, reads Python's packages, and can do
nothing else: whoever takes it over has this one file, which was theirs already.
"""
