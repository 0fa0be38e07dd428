# The API: no TensorFlow in it.
FROM python:3.12-slim
RUN useradd --create-home --uid 10001 fittingroom && mkdir /data && chown fittingroom /data
WORKDIR /opt/fittingroom
COPY locks/api.txt locks/
RUN pip install --no-cache-dir --require-hashes -r locks/api.txt
COPY pyproject.toml README.md LICENSE ./
COPY fittingroom fittingroom
COPY app app
COPY models models
COPY migrations migrations
COPY examples examples
RUN pip install --no-cache-dir hatchling && pip install --no-cache-dir --no-deps --no-build-isolation -e .
USER 10001:10001
VOLUME /data
EXPOSE 8000
ENTRYPOINT ["fittingroom"]
