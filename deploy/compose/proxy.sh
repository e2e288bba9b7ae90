#!/bin/sh
# How the proxy's container starts: the example of deploy/nginx with the names and ports of this stack in it. Without
# SERVER_NAME it speaks plain HTTP, for this machine; with it TLS, with the certificate in CERTIFICATES/SERVER_NAME.
set -eu

: "${API:=app:8000}" "${PAGE:=streamlit:8501}" "${PLAIN_PORT:=8080}" "${TLS_PORT:=8443}"
: "${EXAMPLE:=/proxy/pustaka.conf}" "${CERTIFICATES:=/certificates}" "${FOLDER:=/tmp/proxy}"
: "${ACCESS_LOG:=/dev/stdout}" "${ERROR_LOG:=/dev/stderr}" "${SERVER_NAME:=}"

refuse() {
    echo "proxy: $1" >&2
    exit 1
}

# The whole example, but for the server that leads from plain HTTP to TLS.
without_redirect() {
    awk '/^server \{$/ { server = ""; within = 1 }
         within { server = server $0 "\n"; if ($0 == "}") { within = 0; if (server !~ /listen 80;/) printf "%s", server }; next }
         { print }'
}

plain() {
    without_redirect | sed -e "s/listen 443 ssl http2;.*/listen $PLAIN_PORT default_server;/" -e '/^ *ssl_/d' \
        -e '/Strict-Transport-Security/d' -e 's/server_name chat\.example\.org;/server_name _;/'
}

encrypted() {
    for file in fullchain.pem privkey.pem; do
        [ -r "$CERTIFICATES/$SERVER_NAME/$file" ] ||
            refuse "$CERTIFICATES/$SERVER_NAME/$file is missing, or cannot be read by user $(id -u)."
    done
    sed -e "s/listen 80;/listen $PLAIN_PORT;/" -e "s/listen 443 ssl http2;/listen $TLS_PORT ssl http2;/" \
        -e "s/chat\.example\.org/$SERVER_NAME/g" -e "s#/etc/letsencrypt/live#$CERTIFICATES#g" \
        -e "s#/var/www/acme#$FOLDER/acme#g"
}

mkdir -p "$FOLDER/acme"
case $SERVER_NAME in
"") kind=plain ;;
*[!A-Za-z0-9.-]*) refuse "SERVER_NAME is not the name of a host: $SERVER_NAME" ;;
*) kind=encrypted ;;
esac
# Comments go first: they hold the same names. Containers need no IPv6 of their own.
grep -v '^ *#' "$EXAMPLE" | $kind > "$FOLDER/all.conf"
sed -e '/listen \[::\]/d' -e "s/127\.0\.0\.1:8000/$API/" -e "s/127\.0\.0\.1:8501/$PAGE/" \
    -e "s#/var/log/nginx/pustaka-error\.log#$ERROR_LOG#" -e "s#/var/log/nginx/pustaka\.log#$ACCESS_LOG#" \
    "$FOLDER/all.conf" > "$FOLDER/pustaka.conf"
cat > "$FOLDER/nginx.conf" << END
worker_processes auto;
pid $FOLDER/nginx.pid;
error_log $ERROR_LOG crit;
events {}
http {
    access_log off;
    client_body_temp_path $FOLDER/body;
    proxy_temp_path $FOLDER/proxied;
    fastcgi_temp_path $FOLDER/fastcgi;
    uwsgi_temp_path $FOLDER/uwsgi;
    scgi_temp_path $FOLDER/scgi;
    include $FOLDER/pustaka.conf;
}
END
exec nginx -e "$ERROR_LOG" -c "$FOLDER/nginx.conf" -g "daemon off;"
