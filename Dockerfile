# The base is Airbyte's own, the same as in metadata.yaml; its Python is 3.13, its user airbyte has the number 1000.
ARG BASE_IMAGE=docker.io/airbyte/python-connector-base:4.1.0@sha256:1d1aa21d34e851df4e8a87b391c27724c06e2597608e7161f4d167be853bd7b6

FROM ${BASE_IMAGE} AS builder
WORKDIR /airbyte/integration_code
COPY requirements.lock /tmp/
# An environment of its own, so that nothing the base has installed is in the connector's way, and without the tests
# of what is installed: they are as large as the connector. Both secrets may be left out.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.crt \
    python -m venv --without-pip /opt/docextract \
    && pip --python /opt/docextract install --no-cache-dir --no-compile --only-binary :all: --require-hashes \
        -r /tmp/requirements.lock \
    && find /opt/docextract -type d -name tests -prune -exec rm -r {} + \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/docextract
COPY main.py ./
COPY source_docextract ./source_docextract
RUN python -m compileall -q --invalidation-mode unchecked-hash .

FROM ${BASE_IMAGE}
LABEL io.airbyte.name="airbyte/source-docextract" \
      io.airbyte.version="0.1.0"
COPY --from=builder /opt/docextract /opt/docextract
COPY --from=builder /airbyte/integration_code /airbyte/integration_code
WORKDIR /airbyte/integration_code
ENV PATH="/opt/docextract/bin:$PATH" \
    AIRBYTE_ENTRYPOINT="python /airbyte/integration_code/main.py"
# A number, since Kubernetes cannot tell of a name that it is not root.
USER 1000
ENTRYPOINT ["python", "/airbyte/integration_code/main.py"]
