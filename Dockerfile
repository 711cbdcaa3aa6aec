# docker build -t maximask .
# docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/data" maximask image.fits
FROM python:3.12-slim
RUN --mount=type=bind,target=/clone \
    cp -r /clone /tmp/clone && pip install --no-cache-dir /tmp/clone && rm -r /tmp/clone
ENV HOME=/tmp
USER 1000:1000
WORKDIR /data
ENTRYPOINT ["maximask"]
