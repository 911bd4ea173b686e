# syntax=docker/dockerfile:1

# The compiler that this stage has compiles what a request passes through; dependencies come as wheels by hash.
FROM python:3.13-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements.lock requirements-build.lock ./
RUN python -m venv --without-pip /opt/gollamas \
    && python -m pip --python /opt/gollamas/bin/python install --require-hashes --only-binary :all: -r requirements.lock \
    && python -m pip install --require-hashes --only-binary :all: -r requirements-build.lock
COPY pyproject.toml setup.py README.md LICENSE ./
COPY src ./src
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
    && python -m pip --python /opt/gollamas/bin/python install --no-deps --no-index /dist/*.whl

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="gollamas" \
      org.opencontainers.image.description="One address in front of many Ollama servers" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.source="https://github.com/gollamas/gollamas"
RUN groupadd --system --gid 10001 gollamas \
    && useradd --system --uid 10001 --gid gollamas --no-create-home --shell /usr/sbin/nologin gollamas
COPY --from=build /opt/gollamas /opt/gollamas
ENV PATH=/opt/gollamas/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GOLLAMAS_LISTEN=0.0.0.0:11434
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 11434
# Asks the admin port inside the container, or the clients' port where GOLLAMAS_ADMIN is off.
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s CMD ["gollamas", "health"]
ENTRYPOINT ["gollamas"]
