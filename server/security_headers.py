"""Headers that keep browsers careful: they are on every answer that does not bring one of its own."""

CAREFUL = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",  # no page of another site takes it in as a picture or a script
    "Cross-Origin-Opener-Policy": "same-origin",  # and none that opened it keeps a hold on it
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
