# A worker. LOCK=worker trains on the CPU with TensorFlow, LOCK=worker-jax with JAX; worker-gpu and worker-jax-gpu bring
# CUDA.
FROM python:3.12-slim
ARG LOCK=worker
RUN useradd --create-home --uid 10001 fittingroom && mkdir /data && chown fittingroom /data
WORKDIR /opt/fittingroom
COPY locks/${LOCK}.txt locks/
RUN pip install --no-cache-dir --require-hashes -r locks/${LOCK}.txt
COPY pyproject.toml README.md LICENSE ./
COPY fittingroom fittingroom
COPY app app
COPY models models
COPY workers workers
COPY migrations migrations
COPY examples examples
RUN pip install --no-cache-dir hatchling && pip install --no-cache-dir --no-deps --no-build-isolation -e .
USER 10001:10001
VOLUME /data
ENTRYPOINT ["fittingroom"]
