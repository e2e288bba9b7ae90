# The API and the chat page, one image for both: the command decides.
#
#   docker build -t pustaka .
#   docker run -p 8000:8000 -v pustaka-data:/app/data pustaka
#
# The root file system may be read-only (--read-only --tmpfs /tmp): only DATA_DIR, /tmp and /dev/shm are written.
# Python and Debian are those that the tests run on.

# `make image-digests` adds the digest of the day.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS builder
ENV UV_LINK_MODE=copy
WORKDIR /build
RUN pip install --no-cache-dir uv==0.13.8
COPY requirements.txt requirements-sentry.txt requirements-otel.txt requirements-entailment.txt requirements-models.txt ./
# Only wheels: where one is missing the build says so, instead of looking for a compiler that is not here.
RUN python -m venv --without-pip /opt/venv \
    && uv pip install --python /opt/venv --no-cache --require-hashes --only-binary :all: --compile-bytecode \
        -r requirements.txt -r requirements-sentry.txt -r requirements-otel.txt -r requirements-entailment.txt -r requirements-models.txt


FROM ${PYTHON_IMAGE} AS runtime
LABEL org.opencontainers.image.title="Pustaka" \
      org.opencontainers.image.description="Answers from an institution's own documents, every sentence tied to its source" \
      org.opencontainers.image.version="1.0.0" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim-bookworm"

# Debian keeps only the newest of each version, so a pinned one soon breaks the build.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends curl \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 1000 appuser \
    && useradd --uid 1000 --gid appuser --create-home appuser \
    && install -d /app/documents \
    && install -d -o appuser -g appuser -m 0700 /app/data /app/page-key

WORKDIR /app
COPY --from=builder /opt/venv /opt/venv
# Owned by root: who breaks into the service cannot change it. What is copied is listed in .dockerignore.
COPY . .
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    PORT=8000 \
    DATA_DIR=/app/data
RUN python -m compileall -q -j 0 . && ln -s /app/pustaka.py /usr/local/bin/pustaka

# appuser, by number: so Kubernetes can tell that it is not root.
USER 1000:1000
VOLUME /app/data
# 8000: the API. 8501: the chat page, where the command is `streamlit run streamlit_app.py`.
EXPOSE 8000 8501
# gunicorn and Streamlit both end their work in an orderly way on it.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=90s --retries=3 \
    CMD ["sh", "-c", "curl --fail --silent --show-error --max-time 4 --noproxy '*' --output /dev/null ${SSL_CERT_PATH:+--insecure} \"http${SSL_CERT_PATH:+s}://127.0.0.1:${PORT}/health\""]
ENTRYPOINT ["/app/deploy/compose/entrypoint.sh"]
CMD ["gunicorn", "-c", "gunicorn.conf.py", "wsgi:application"]
