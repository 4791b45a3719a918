# Two images: `web` has no torch; `worker` has it. Build one with: docker build --target web -t latent-lens-web .
# The worker's torch is the CPU build of constraints.txt if your package index offers it; for a GPU, point pip at an index
# with CUDA builds: docker build --target worker --build-arg PIP_INDEX_URL=... .
FROM python:3.11-slim AS web
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 DATA_DIR=/data
RUN useradd --create-home --uid 1000 latentlens && mkdir /data && chown latentlens /data
WORKDIR /srv/latentlens
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN pip install -c constraints.txt .
COPY . .
USER latentlens
VOLUME /data
EXPOSE 8000
CMD ["uvicorn", "latentlens.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--lifespan", "off", "--no-access-log"]

FROM web AS worker
USER root
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
RUN pip install -c constraints.txt torch && pip install -c constraints.txt ".[worker]"
USER latentlens
CMD ["celery", "-A", "latentlens", "worker", "-Q", "experiments", "--concurrency", "1", "--loglevel", "INFO"]
