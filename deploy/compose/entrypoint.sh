#!/bin/sh
# What every container of the image starts with. It gives the service and the chat page the same CHAT_PAGE_KEY: the one
# that is configured, else one that is made at the first start and kept in a volume which only these two have.
set -eu
umask 077

key_file=/app/page-key/key

if [ -z "${CHAT_PAGE_KEY:-}" ] && [ -d "${key_file%/*}" ]; then
    # Written elsewhere and then linked: whichever container comes first wins, and nobody reads half a key.
    if [ ! -s "$key_file" ]; then
        draft=$(mktemp "$key_file.XXXXXX")  # readable by this user alone
        python -c 'import secrets; print(secrets.token_urlsafe(32))' > "$draft"
        ln "$draft" "$key_file" 2>/dev/null || mv -n "$draft" "$key_file"  # not every volume has links
        rm -f "$draft"
    fi
    CHAT_PAGE_KEY=$(cat "$key_file")
    if [ -z "$CHAT_PAGE_KEY" ]; then
        echo "$key_file is empty: remove it, or set CHAT_PAGE_KEY." >&2
        exit 1
    fi
    export CHAT_PAGE_KEY
fi

exec "$@"
